import assert from 'node:assert/strict';
import { readFile, rm } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { createCgroups } from '../../src/host/cells/cgroups.ts';
import { start } from '../../src/host/exec.ts';
import { attempt, listen, reroute, type Holder, type Listener } from '../../src/host/network/lab.ts';
import type { Attempt } from '../../src/host/network/probe.ts';
import { makeMachine, makeTree, waitFor, type Machine, type Person } from '../builders/machine.ts';

/** Production's way out, from root in its cell: the machine's loopback stays out of reach, whatever is done to routes. */
const PORT = 20_000 + (process.pid % 10_000);
const PUBLISHED = PORT + 10_000;

const groups = createCgroups();
const held: Holder[] = [];
let machine: Machine;
let person: Person | undefined;
let service: Listener;
let cell = 0;
const pasta = (): { group: string; pid: number } => {
  const all = `${machine.paths.cgroup}/pasta`;
  const [id = ''] = groups.children(all);
  const [pid = 0] = groups.processes(`${all}/${id}`);
  return { group: `${all}/${id}`, pid };
};

before(async () => {
  machine = await makeMachine();
  person = await machine.person();
  const tree = await makeTree({
    'bulkhead.yaml': `ports: ["127.0.0.1:${PUBLISHED}:8080"]\nhooks: { up: ./up.sh }\n`,
    'up.sh': '#!/bin/sh\n/opt/bulkhead/node /app/server.mjs &\n',
    'server.mjs':
      "import { createServer } from 'node:http';\ncreateServer((ask, answer) => answer.end('production')).listen(8080);\n",
  });
  await person.create('shop', tree);
  const up = await person.bulkhead('up shop');
  assert.equal(up.code, 0, `${up.stdout}${up.stderr}${machine.log()}`);
  await rm(tree, { recursive: true });
  service = await listen(process.pid, 'machine', PORT, ['127.0.0.1', '::1']);
  held.push(service);
  // Its last argument is the process whose namespaces it entered.
  cell = Number((await readFile(`/proc/${pasta().pid}/cmdline`, 'utf8')).split('\0').at(-2));
});

after(async () => {
  for (const holder of held) await holder.end();
  await person?.leave();
  await machine?.remove();
});

const LOOPBACK: Attempt[] = (['tcp', 'udp'] as const).flatMap((kind) => [
  { kind, host: '127.0.0.1', port: PORT },
  { kind, host: '127.8.8.8', port: PORT },
  { kind, host: '::1', port: PORT },
]);
const answers = async (): Promise<string> =>
  (await attempt(process.pid, [{ kind: 'tcp', host: '127.0.0.1', port: PUBLISHED }]))[0]?.answer ?? '';

test('the published port answers, also while no daemon runs, and after the next has come', async () => {
  await waitFor(async () => /HTTP/.test(await answers()));
  const { pid } = pasta();
  await machine.stop('SIGKILL');
  assert.match(await answers(), /HTTP/);
  await machine.start();
  assert.match(await answers(), /HTTP/);
  assert.equal(pasta().pid, pid);
});

test("root of production's cell does not reach the machine's loopback", async () => {
  await reroute(cell);
  for (const outcome of await attempt(cell, LOOPBACK)) assert.equal(outcome.answer, null);
  assert.deepEqual(service.heard(), []);
});

test('seen to bite: through the same pasta outside of its fence, it does', async () => {
  const { pid, group } = pasta();
  const argv = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0').slice(1, -1);
  groups.kill(group);
  await waitFor(() => !groups.populated(group));
  const bare = await start('pasta', argv, { stdio: 'ignore' });
  try {
    await waitFor(async () => (await readFile(`/proc/${cell}/net/route`, 'utf8')).includes('eth0\t00000000'));
    // The addresses of loopback were taken away before: the routes to them went with pasta.
    await start('nsenter', [`--net=/proc/${cell}/ns/net`, 'sh', '-s'], { stdio: ['pipe', 'ignore', 'ignore'] }).then(
      (shell) => {
        shell.stdin?.end('ip addr add 127.0.0.1/8 dev lo; ip -6 addr add ::1/128 dev lo');
        return new Promise((resolve) => shell.once('exit', resolve));
      },
    );
    await reroute(cell);
    await attempt(cell, LOOPBACK);
    assert.ok(service.heard().includes('tcp 127.0.0.1 > 127.0.0.1'), JSON.stringify(service.heard()));
  } finally {
    bare.kill('SIGKILL');
  }
});
