import { ERRORS } from '../contract/errors.ts';

/** The long texts of `bulkhead help TOPIC`. */
export const TOPICS: Readonly<Record<string, () => string>> = {
  refs: () => `A ref is the name of an app or of a fork.

  shop          the app: production
  shop:fix      the fork "fix" of it
  shop@...      a point of it: a state to go back to; "bulkhead points shop" lists them

Names and tags have 1 to 40 lower-case letters, digits and hyphens, with a letter or digit first
and last. "bulkhead fork shop" invents a tag. A fork can be forked:

  bulkhead fork shop:b --from shop:a
  bulkhead fork shop:look --from POINT

Every app and fork also has a UUID, which stays when a name is given to another.
`,
  production: () => `An app is production. Whoever has not proved to be a person may see that it exists and make a
fork of it, and nothing more: not change it, not read its data, not open a shell in it.

A fork is a full copy of the app, files and databases in one moment. It takes milliseconds, holds
only what it writes itself, and nothing in it can reach production: neither its files nor its
sockets nor its network. It may be broken; that is what it is for.

  bulkhead fork shop:fix --up       a running copy
  bulkhead shell shop:fix           work in it
  bulkhead reset shop:fix           back to what it was when it was made
  bulkhead rm shop:fix              into the trash; else it goes by itself, after a day

A person signs in ("bulkhead help sign-in") and then changes production itself. Before each change
a point is kept, one a minute at the most:

  bulkhead points shop
  bulkhead fork shop:look --from POINT

An environment variable opens nothing. BULKHEAD_ALLOW_PRODUCTION below an agent counts for nothing,
and the attempt is in the audit log.
`,
  'sign-in': () => `  bulkhead sign-in       asks for the code of your second factor
  bulkhead whoami        says who the daemon takes you for, and why
  bulkhead sign-out

A sign-in is good for 30 minutes, or until the daemon ends: for the commands that you type into
this shell on this terminal, and not for what those commands start. Scripts and agents below your
shell stay what they are.

Some things ask for a code each time: removing an app, purging the trash, accepting a
bulkhead.yaml. Whoever shares your user could type into a terminal where you have signed in.

The code is asked for on the terminal itself. "--code 123456" is for a person's own scripts: the
command lines of processes are visible to others, but a code is good for half a minute and once.
A recovery code, one of those shown by "bulkhead init", is taken in place of a code, once.

Type codes only into the bulkhead that was installed by root: a false one on your path could keep
what you type.
`,
  'bulkhead.yaml':
    () => `A file bulkhead.yaml at the root of an app says how it runs. It is a proposal: what counts is the copy
that a person has accepted, with the content that its hooks had then. Editing it in a fork opens
nothing. Every key is optional; an unknown one is an error.

  bulkhead config diff shop        what the file would change
  bulkhead config accept shop      take it, by your second factor
  bulkhead config show shop        what counts

  start: always                    # after a boot: always | manual
  engine: process                  # what the up hook starts are processes of the cell
  hooks:                           # run in the cell as its user agent, with a time limit
    up: ./ops/up.sh                # starts the app
    down: ./ops/down.sh            # stops it in order
    health: ./ops/health.sh        # exit code 0: ready
  ports: ["80:8080"]               # production's, on this machine: MACHINE:CELL
  limits: { memory: 4GiB, cpus: 2, pids: 2048 }
  paths: [/opt/node24]             # read-only from the machine, beside /usr
  fork:                            # all about forks
    ttl: 24h
    limits: { memory: 2GiB, cpus: 1, disk: 20GiB }
    egress: []                     # nothing goes out; or: any
    prepare: ./ops/prepare.sh      # before anyone may enter a fork: mask data, swap credentials
    cleanup: ./ops/cleanup.sh      # when a fork is removed, expires or is reset

Hooks see BULKHEAD_REF, BULKHEAD_ID, BULKHEAD_ROLE (production or fork) and BULKHEAD_PARENT.
`,
  'exit-codes': exitCodes,
  json: () => `With --json a command writes one JSON object a line to standard output, and nothing else.

  {"type":"step","key":"volume.copy","label":"...","state":"started" | "done" | "failed","ms":1.9}
  {"type":"note","level":"info" | "warn","text":"..."}
  {"type":"result","result":{...}}                the last line of what was done
  {"type":"error","error":{"code":"refused","message":"...","why":"...","next":["..."]}}

With --plan the result is the plan: its steps, and what cannot be known before.

exec and logs: {"type":"output","stream":"stdout" | "stderr","text":"..."}, with "base64" in place of
"text" where the bytes are no UTF-8. audit tail: {"type":"record","record":{...}}.

Times are ISO 8601 in UTC, sizes are bytes. Nobody is asked for anything: what needs a code takes
--code. The fields of each result are in docs/reference.md. Codes of errors are never renamed.
`,
};

function exitCodes(): string {
  const lines = new Map<number, string[]>();
  for (const [code, { exit }] of Object.entries(ERRORS)) lines.set(exit, [...(lines.get(exit) ?? []), code]);
  const words: Record<number, string> = {
    1: 'it was tried and did not work',
    2: 'it was asked wrongly',
    3: 'refused',
    5: 'not found',
    6: 'not possible as things are',
    7: 'no daemon answers',
  };
  const rows = [...lines]
    .toSorted(([a], [b]) => a - b)
    .flatMap(([exit, codes]) => [
      `  ${exit}    ${words[exit] ?? ''}`,
      ...chunks(codes).map((line) => `         ${line}`),
    ]);
  return `  0    done
${rows.join('\n')}

exec and shell pass the command's own exit code through. There, 125 is a failure of ours, refusals
included; standard error says which, and with --json the last line.

doctor ends with 1 where it found something bad, audit verify where the log is not intact.
`;
}

function chunks(codes: readonly string[]): string[] {
  const lines: string[] = [];
  for (const code of codes) {
    const last = lines.at(-1);
    if (last === undefined || last.length + code.length > 80) lines.push(code);
    else lines[lines.length - 1] = `${last}, ${code}`;
  }
  return lines;
}
