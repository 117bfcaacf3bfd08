import { ERRORS } from '../contract/errors.ts';
import type { Context } from './context.ts';
import { table } from './terminal.ts';

const TOPICS: Record<string, string> = {
  refs: `A ref names an app or a fork.
  shop             the app: production
  shop:fix         a fork of it, with the tag "fix"
Names have 1 to 40 lower-case letters, digits and hyphens, a letter or digit first and last.
A point is named shop@20261129T142903Z; \`bulkhead points shop\` lists them.`,
  'sign-in': `Production answers only to people. \`bulkhead sign-in\` asks for the code on your phone and makes
the commands that you type into this shell, on this terminal, a person's for 30 minutes.
It does not cover what those commands start: scripts and agents stay what they are.
Destroying production, purging the trash and accepting a bulkhead.yaml ask for a code each time.
\`bulkhead whoami\` says who you are taken for, and why.`,
  production: `An app is production. Whoever has not signed in may see that it exists, and fork it. A fork is a full
copy, takes milliseconds, and nothing in it can reach production. Before each change to
production a point is kept: \`bulkhead points shop\`, \`bulkhead fork shop:look --from POINT\`.
An environment variable opens nothing: a process that wants to could set it for itself.`,
  'bulkhead.yaml': `A file at the root of an app says how it runs. It is a proposal: only the copy that a person accepted
counts (\`bulkhead config diff shop\`, \`bulkhead config accept shop\`), hooks by their content.

start: always                     # after a boot: always | manual
engine: process                   # what hooks.up starts are processes of the cell
hooks:
  up: ./ops/up.sh                 # starts the app; may stay, or leave processes behind and end
  down: ./ops/down.sh             # before the rest is asked to end
  health: ./ops/health.sh         # exits 0 when ready; asked again and again for a minute
ports: ["80:8080"]                # production's, machine:cell, or 127.0.0.1:80:8080
limits: { memory: 4GiB, cpus: 2, pids: 2048 }
paths: [/opt/node24]              # read-only from the machine, beside /usr
fork:
  ttl: 24h
  limits: { memory: 2GiB, cpus: 1, disk: 20GiB }
  egress: []                      # nothing, or: any
  prepare: ./ops/prepare.sh       # runs before anyone may enter a new fork
  cleanup: ./ops/cleanup.sh       # runs when a fork is removed, reset or expires

Hooks run as the user agent (uid 1000) in /app. Other keys are errors.`,
};

/** Prints a topic, or the list of them. */
export function helpTopic(context: Context, topic: string | undefined): void {
  const { stdout } = context.process;
  if (topic === 'exit-codes') {
    const codes = new Map<number, string[]>();
    for (const [code, { exit }] of Object.entries(ERRORS)) codes.set(exit, [...(codes.get(exit) ?? []), code]);
    stdout.write(`0  done\n${table([...codes].map(([exit, names]) => [String(exit), names.join(', ')]))}\n`);
    stdout.write("exec and shell pass the command's own code through; 125 is a failure of ours.\n");
    return;
  }
  const text = topic === undefined ? undefined : TOPICS[topic];
  if (text !== undefined) return void stdout.write(`${text}\n`);
  stdout.write(`Topics: ${[...Object.keys(TOPICS), 'exit-codes'].join(', ')}\n  bulkhead help TOPIC\n  bulkhead COMMAND --help\n`);
  if (topic !== undefined) context.process.exitCode = 2;
}
