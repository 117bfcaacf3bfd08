import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { readFile, rm } from 'node:fs/promises';
import { makeMachine, makeTree, run, BULKHEAD, type Machine, type Person } from '../builders/machine.ts';

let machine: Machine;
let person: Person;
const agent = { CLAUDECODE: '1' };

before(async () => {
  machine = await makeMachine();
  person = await machine.person();
});
after(async () => {
  await person?.leave();
  await machine?.remove();
});

const asAgent = (...args: string[]) =>
  machine.cliWith({ env: { ...process.env, BULKHEAD_INSTANCE: machine.instance, ...agent } }, ...args);

test('a person makes an app from a directory, and it is what the directory was', async () => {
  const tree = await makeTree({ 'readme.txt': 'hello\n', 'data/rows': '1\n2\n3\n' });
  const made = await person.bulkhead(`create shop --from ${tree}`);
  assert.equal(made.code, 0, made.stderr + machine.log());
  const seen = await person.bulkhead('exec shop -- cat /app/data/rows');
  assert.equal(seen.stdout, '1\n2\n3\n', seen.stderr);
  await rm(tree, { recursive: true });
});

test('an agent is refused on production, told why, and shown the fork', async () => {
  const refused = await asAgent('exec', 'shop', '--', 'rm', '-rf', '/app');
  assert.equal(refused.code, 125);
  assert.match(refused.stderr, /shop is production/);
  assert.match(refused.stderr, /Claude Code/);
  assert.match(refused.stderr, /bulkhead fork shop/);
});

test('the override variable opens nothing, and is recorded', async () => {
  const env = { ...process.env, BULKHEAD_INSTANCE: machine.instance, ...agent, BULKHEAD_ALLOW_PRODUCTION: 'shop' };
  const refused = await machine.cliWith({ env }, 'exec', 'shop', '--', 'ls', '--json');
  assert.equal(refused.code, 125);
  assert.match(refused.stderr, /cannot allow itself production/);
  const log = await person.bulkhead('audit log --refused --json -n 5');
  assert.match(log.stdout, /override-refused/);
});

test('an agent forks, destroys everything in the fork, and production is untouched', async () => {
  const forked = await asAgent('fork', 'shop:fix', '--json');
  assert.equal(forked.code, 0, forked.stderr + forked.stdout + machine.log());
  const seen = await asAgent('exec', 'shop:fix', '--', 'cat', '/app/readme.txt');
  assert.equal(seen.stdout, 'hello\n', seen.stderr);
  await asAgent('exec', 'shop:fix', '--', 'sh', '-c', 'rm -rf /app/* / 2>/dev/null; true');
  const gone = await asAgent('exec', 'shop:fix', '--', 'ls', '/app');
  assert.equal(gone.stdout, '');
  const production = await person.bulkhead('exec shop -- cat /app/readme.txt');
  assert.equal(production.stdout, 'hello\n');
});

test('reset puts the fork back', async () => {
  const reset = await asAgent('reset', 'shop:fix');
  assert.equal(reset.code, 0, reset.stderr + machine.log());
  assert.equal((await asAgent('exec', 'shop:fix', '--', 'cat', '/app/readme.txt')).stdout, 'hello\n');
});

test('exec keeps stdout, stderr and the exit code apart, and carries stdin', async () => {
  const ran = await asAgent('exec', 'shop:fix', '--', 'sh', '-c', 'echo out; echo err >&2; exit 7');
  assert.deepEqual([ran.code, ran.stdout, ran.stderr], [7, 'out\n', 'err\n']);
  const echoed = await machine.cliWith(
    { env: { ...process.env, BULKHEAD_INSTANCE: machine.instance, ...agent }, input: 'x'.repeat(300_000) },
    'exec',
    '-i',
    'shop:fix',
    '--',
    'wc',
    '-c',
  );
  assert.equal(echoed.stdout.trim(), '300000', echoed.stderr);
});

test('rm moves to the trash, and restore brings it back', async () => {
  assert.equal((await asAgent('rm', 'shop:fix')).code, 0);
  assert.equal((await asAgent('exec', 'shop:fix', '--', 'true')).code, 125);
  const back = await asAgent('trash', 'restore', 'shop:fix');
  assert.equal(back.code, 0, back.stderr);
  assert.equal((await asAgent('exec', 'shop:fix', '--', 'cat', '/app/readme.txt')).stdout, 'hello\n');
});

test('a change to production has a point before it, and a fork of the point shows the old state', async () => {
  const changed = await person.bulkhead(`exec shop -- sh -c 'echo changed > /app/readme.txt'`);
  assert.equal(changed.code, 0, changed.stderr);
  const points = JSON.parse((await person.bulkhead('points shop --json')).stdout) as {
    result?: { points: { name: string }[] };
  };
  const name = points.result?.points.at(-1)?.name;
  assert.ok(name, 'there is a point');
  const looked = await person.bulkhead(`fork shop:look --from ${name}`);
  assert.equal(looked.code, 0, looked.stderr);
  assert.equal((await person.bulkhead('exec shop:look -- cat /app/readme.txt')).stdout, 'hello\n');
});

test('the audit log is intact, and finds a record that was changed', async () => {
  assert.equal((await person.bulkhead('audit verify')).code, 0);
  const text = await readFile(machine.paths.audit, 'utf8');
  assert.ok(text.includes('"session.exec"'));
});

test('a terminal is a terminal', async () => {
  const ran = await run(
    '/usr/bin/script',
    ['-qec', `${BULKHEAD} exec -it shop:fix -- sh -c 'tty; stty size'`, '/dev/null'],
    {
      env: { ...process.env, BULKHEAD_INSTANCE: machine.instance, ...agent },
    },
  );
  assert.match(ran.stdout, /\/dev\/pts\/\d+/, ran.stdout + ran.stderr);
});
