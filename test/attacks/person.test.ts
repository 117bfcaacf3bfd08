import assert from 'node:assert/strict';
import { chmod, copyFile, mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { BULKHEAD, run, waitFor, type Person } from '../builders/machine.ts';
import { ask, askAs } from './ask.ts';
import { attack, reachedIf, type Outcome } from './attack.ts';
import { enrol, OTHER, type Enrolled } from './phone.ts';
import { makeStage, SECRET, type Stage } from './stage.ts';

/**
 * An agent at the uid of the person, who has signed in at a terminal and lets it run there. docs/design/identity.md
 * says what such an agent can do all the same, and what holds then: the last attacks here are those.
 */
const EVADE = new URL('probes/evade.py', import.meta.url).pathname;
const READ = `${BULKHEAD} exec shop -- cat /app/secret.txt`;

let stage: Stage;
let enrolled: Enrolled;
let terminal: Person;
let directory: string;
let claude: string;

before(async () => {
  stage = await makeStage({ forks: ['fix'] });
  enrolled = await enrol(stage);
  terminal = await enrolled.terminal(true);
  directory = await mkdtemp(path.join(os.tmpdir(), 'bulkhead-attack-'));
  await chmod(directory, 0o777);
  claude = path.join(directory, 'claude');
  await copyFile('/bin/bash', claude);
  await chmod(claude, 0o755);
});
after(async () => {
  await terminal?.leave();
  await stage?.remove();
  await rm(directory, { recursive: true });
});

/** Production's secret in what a line printed. */
const reads = async (line: string, at: Person = terminal): Promise<Outcome> => {
  const ran = await at.run(`{ ${line}; }`);
  return reachedIf(`${ran.stdout}${ran.stderr}`.includes(SECRET), ran);
};
const evade = (way: string, command = READ): string => `/usr/bin/python3 ${EVADE} ${way} ${command}`;

/** What is typed in the signed-in shell, each with an agent between the shell and our program. */
const EVASIONS: Record<string, () => string> = {
  'an agent that shows itself': () => `CLAUDECODE=1 bash -c '${READ}; true'`,
  'a script, which shows nothing': () => `bash -c '${READ}; true'`,
  'a marker that is cleared for one command': () => `CLAUDECODE=1 bash -c 'env -u CLAUDECODE ${READ}; true'`,
  'a marker that is cleared by exec': () => `CLAUDECODE=1 bash -c 'bash -c "exec env -u CLAUDECODE ${READ}"; true'`,
  'below a program that is an agent by its name': () =>
    `${claude} -c 'env -i BULKHEAD_INSTANCE=$BULKHEAD_INSTANCE ${READ}; true'`,
  'a double fork with a cleared environment': () => evade('double_fork'),
  'a double fork below an agent': () => `${claude} -c '${evade('double_fork')}; true'`,
  'a new session with a cleared environment': () => evade('new_session'),
  'setsid -f env -i': () => `setsid -f env -i BULKHEAD_INSTANCE=$BULKHEAD_INSTANCE ${READ}; sleep 1.5`,
  'an overwritten environment block': () => `CLAUDECODE=1 ${evade('overwrite')}`,
  'clone(CLONE_PARENT), one level below': () => `bash -c '${evade('sibling')}; true'`,
  'the override, written into the parent’s memory': () =>
    `PADDING=${'x'.repeat(80)} bash -c '${evade('parents_memory')}; true'`,
  'the override, set aloud': () => `BULKHEAD_ALLOW_PRODUCTION=shop bash -c '${READ}; true'`,
  'other code in our program': () =>
    `NODE_OPTIONS=--no-warnings ${path.dirname(BULKHEAD)}/.tools/node ${path.dirname(BULKHEAD)}/dist/bulkhead.cjs ${READ.slice(BULKHEAD.length + 1)}`,
  'a job in the background': () => `${READ} & wait`,
  'a pipe into a shell': () => `echo '${READ}' | bash`,
};
for (const [name, line] of Object.entries(EVASIONS))
  attack({
    name: `in a signed-in shell: ${name}`,
    without: 'an agent in between',
    weakened: () => reads(READ),
    walled: () => reads(line()),
    refused: /Refused: /,
  });

attack({
  name: 'in a signed-in shell: connect, leave the connection to a child, become our program, one level below',
  without: 'an agent in between',
  weakened: () => becomes((person) => person),
  walled: () => becomes((person) => ({ ...person, run: (line) => person.run(`bash -c '${line}; true'`) })),
});

async function becomes(through: (person: Person) => Person): Promise<Outcome> {
  const { machine } = stage;
  const answers = await askAs(through(terminal), machine, [ask('caller.show', {})]);
  return reachedIf(answers.join('').includes('"caller":"person"'), answers);
}

attack({
  name: 'another terminal of the same person',
  without: 'a sign-in that is bound to its terminal',
  weakened: () => reads(READ),
  async walled() {
    const other = await enrolled.terminal(false);
    const outcome = await reads(READ, other);
    await other.leave();
    return outcome;
  },
});

attack({
  name: 'a stolen code, given by a script',
  without: 'the look at who types it',
  async weakened() {
    const other = await enrolled.terminal(true);
    const outcome = await reads(READ, other);
    await other.leave();
    return outcome;
  },
  async walled() {
    const other = await enrolled.terminal(false);
    const code = await enrolled.code();
    await other.run(`bash -c '${BULKHEAD} sign-in --code ${code}; true'`);
    await other.run(`CLAUDECODE=1 ${BULKHEAD} sign-in --code ${code}`);
    const outcome = await reads(READ, other);
    await other.leave();
    return outcome;
  },
});

attack({
  name: "the daemon's secrets, state, sockets and memory",
  without: 'rights of root',
  weakened: () => opens(0),
  walled: () => opens(OTHER.uid),
});

async function opens(uid: number): Promise<Outcome> {
  const { paths, daemon } = stage.machine;
  const files = [
    paths.database,
    paths.audit,
    paths.poolFile,
    `${paths.pool}/live`,
    path.join(paths.run, 'cells/.runtime'),
    path.join(paths.state, 'logs'),
    `/proc/${daemon.pid}/environ`,
    `/proc/${daemon.pid}/mem`,
    `/proc/${daemon.pid}/fd/0`,
    `${await stage.volume('shop')}/secret.txt`,
  ];
  const opened = await run(
    'sh',
    [
      '-c',
      'for f; do if [ -d "$f" ]; then ls "$f" >/dev/null; else head -c 1 "$f" >/dev/null; fi 2>/dev/null && echo "$f"; done; true',
      'sh',
      ...files,
    ],
    { uid },
  );
  return reachedIf(opened.stdout.trim() !== '', 'nothing could be opened');
}

/** Where the kernel lets no program type, there is nothing to try. */
const canType = await readFile('/proc/sys/dev/tty/legacy_tiocsti', 'utf8').then(
  (text) => text.trim() === '1',
  () => true,
);
const typed = async (command: string, done: () => Promise<boolean>): Promise<boolean> => {
  await terminal.run(`(sleep 0.3; ${evade('type_into_the_terminal', `"${command}"`)}) & sleep 0.6`);
  return waitFor(async () => (await done()) || undefined, 3000).catch(() => false);
};

attack({
  name: 'a background job that types into the signed-in terminal: production is not destroyed',
  without: 'the factor that is asked each time',
  async weakened() {
    if (!canType) return 'absent: TIOCSTI is off';
    const mark = path.join(directory, 'typed');
    return reachedIf(
      await typed(`touch ${mark}`, () =>
        stat(mark).then(
          () => true,
          () => false,
        ),
      ),
      'nothing was typed',
    );
  },
  async walled() {
    const log = path.join(directory, 'rm.log');
    await typed(
      `${BULKHEAD} rm shop --confirm shop </dev/null >${log} 2>&1`,
      async () => (await readFile(log, 'utf8').catch(() => '')) !== '',
    );
    const there = await stage.machine.cli('ls', 'shop', '--json');
    return reachedIf(there.code !== 0, await readFile(log, 'utf8').catch(() => there.stdout));
  },
});

attack({
  name: 'a background job that types into the signed-in terminal: what it changes can be undone',
  without: 'the point before',
  async weakened() {
    if (!canType) return 'absent: TIOCSTI is off';
    const changed = async (): Promise<boolean> =>
      (await readFile(`${await stage.volume('shop')}/hacked`, 'utf8').catch(() => '')) !== '';
    return reachedIf(
      await typed(`${BULKHEAD} exec shop -- sh -c 'rm /app/ops/up.sh; echo x > /app/hacked'`, changed),
      'nothing was changed',
    );
  },
  async walled() {
    if (!canType) return 'held: TIOCSTI is off';
    const { points } = await stage.machine.json<{ points: { name: string; after: { operation: string }[] }[] }>(
      'points',
      'shop',
    );
    const at =
      points.find(({ after: later }) => later.some(({ operation }) => operation === 'session.exec'))?.name ?? '';
    const forked = await stage.machine.cli('fork', 'shop:look', '--from', at);
    const seen = await stage.machine.cli(
      'exec',
      'shop:look',
      '--',
      'sh',
      '-c',
      'test -e /app/ops/up.sh && ! test -e /app/hacked && echo whole',
    );
    return reachedIf(!seen.stdout.includes('whole'), `${forked.stderr}${seen.stdout}${seen.stderr}`);
  },
});

attack({
  name: 'an agent that shows its name, on the fork of another',
  without: 'the name',
  weakened: async () => reachedIf((await stage.machine.cli('extend', 'shop:fix', '--ttl', '2h')).code === 0, 'refused'),
  async walled() {
    const env = { ...process.env, BULKHEAD_INSTANCE: stage.machine.instance, GEMINI_CLI: '1' };
    return reachedIf((await stage.machine.cliWith({ env }, 'extend', 'shop:fix', '--ttl', '3h')).code === 0, 'refused');
  },
});

attack({
  name: 'a code that was seen, used again',
  without: 'a code that was not used',
  weakened: async () => signs(await enrolled.code(), 1),
  walled: async () => signs(await enrolled.code(), 2),
});

/** Signs in that many times with the same code: whether the last one worked. */
async function signs(code: string, times: number): Promise<Outcome> {
  const other = await enrolled.terminal(false);
  let ended = 0;
  for (let round = 0; round < times; round += 1) ended = (await other.bulkhead(`sign-in --code ${code}`)).code;
  await other.leave();
  return reachedIf(ended === 0, `exit code ${ended}`);
}

attack({
  name: 'codes by trying them all',
  without: 'a limit of attempts',
  // A limit of six digits alone: a million tries, of which three are right at any time.
  weakened: async () => signs(await enrolled.code(), 1),
  async walled() {
    const other = await enrolled.terminal(false);
    const said: string[] = [];
    for (let guess = 100_000; guess < 100_008; guess += 1)
      said.push((await other.bulkhead(`sign-in --code ${guess} --json`)).stdout);
    await other.leave();
    return reachedIf(!said.at(-1)?.includes('too-many'), said.at(-1));
  },
});

test('production is what it was', async () => {
  const { secret } = await stage.production();
  assert.equal(secret, SECRET);
  assert.equal((await stage.machine.cli('audit', 'verify')).code, 0);
});
