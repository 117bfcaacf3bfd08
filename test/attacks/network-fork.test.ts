import assert from 'node:assert/strict';
import { readFile, readdir, rm } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { after, before, test } from 'node:test';
import { exec } from '../../src/host/exec.ts';
import { allRefused, attempt, listen, netOf, type Holder, type Listener } from '../../src/host/network/lab.ts';
import type { Attempt, Outcome } from '../../src/host/network/probe.ts';
import { makeMachine, makeTree, waitFor, type Machine, type Person } from '../builders/machine.ts';

/**
 * The network of a fork, from an agent in a session and from root in its cell: it
 * reaches neither the machine, nor production, nor another fork, nor the world, and is
 * refused at once. `src/host/network/gateway.root.test.ts` has more of it, in a machine that is made up.
 */
const PORT = 20_000 + (process.pid % 10_000);
const PUBLISHED = PORT + 10_000;

const own = Object.values(networkInterfaces())
  .flat()
  .filter((one) => one !== undefined && !one.internal && !one.address.startsWith('fe80'));
const addresses = own.map((one) => one?.address ?? '');

let machine: Machine;
let person: Person | undefined;
let fork = 0;
let other = 0;
const held: Holder[] = [];
let listeners: Listener[] = [];
const heard = (): string[] => listeners.flatMap((listener) => listener.heard());

/** Process of a cell, by a session that sleeps for a number of seconds that nobody else does. */
async function enter(ref: string, seconds: number): Promise<number> {
  void machine.cli('exec', ref, '--', 'sleep', String(seconds));
  const home = await netOf(process.pid);
  return waitFor(async () => {
    for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
      const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
      if (command === `sleep\0${seconds}\0` && (await netOf(Number(pid)).catch(() => home)) !== home)
        return Number(pid);
    }
    return undefined;
  });
}

before(async () => {
  machine = await makeMachine();
  person = await machine.person();
  const tree = await makeTree({
    'bulkhead.yaml': `ports: ["${PUBLISHED}:8080"]\nhooks: { up: ./up.sh }\n`,
    'up.sh': '#!/bin/sh\n/opt/bulkhead/node /app/server.mjs &\n',
    'server.mjs':
      "import { createServer } from 'node:http';\ncreateServer((ask, answer) => answer.end('production')).listen(8080);\n",
  });
  await person.create('shop', tree);
  const up = await person.bulkhead('up shop');
  assert.equal(up.code, 0, `${up.stdout}${up.stderr}${machine.log()}`);
  await rm(tree, { recursive: true });
  for (const ref of ['shop:a', 'shop:b']) assert.equal((await machine.cli('fork', ref)).code, 0, machine.log());
  fork = await enter('shop:a', 90_001 + process.pid);
  other = await enter('shop:b', 190_002 + process.pid);
  listeners = [
    await listen(process.pid, 'machine', PORT, ['127.0.0.1', '::1', ...addresses]),
    await listen(other, 'other fork', PORT, ['0.0.0.0', '::']),
  ];
  held.push(...listeners);
});

after(async () => {
  for (const holder of held) await holder.end();
  // Or their clients would wait half a minute for another daemon.
  for (const pid of [fork, other]) if (pid > 0) process.kill(pid, 'SIGKILL');
  await person?.leave();
  await machine?.remove();
});

async function targets(): Promise<Attempt[]> {
  const { stdout } = await exec('nsenter', [`--net=/proc/${other}/ns/net`, 'ip', '-4', '-o', 'addr', 'show', 'eth0']);
  const neighbour = /inet ([\d.]+)/.exec(stdout)?.[1] ?? 'none';
  const hosts = [
    ...addresses,
    neighbour,
    '169.254.169.254',
    '169.254.77.1',
    '8.8.8.8',
    '2001:4860:4860::8888',
    '::ffff:8.8.8.8',
  ];
  return hosts.flatMap((host): Attempt[] => [
    { kind: 'tcp', host, port: PORT },
    { kind: 'tcp', host, port: PUBLISHED },
    { kind: 'udp', host, port: PORT },
    { kind: 'udp', host, port: 53 },
  ]);
}

/** The same attempts in the cell's own Node: what an agent there has at hand. */
const AGENT = `
const { connect } = require('node:net');
const { createSocket } = require('node:dgram');
const tcp = ({ host, port }, settle) => {
  const socket = connect({ host, port, autoSelectFamily: false });
  socket.on('connect', () => settle({ answer: 'connected', error: null }));
  socket.on('error', (error) => settle({ answer: null, error: error.code }));
};
const udp = ({ host, port }, settle) => {
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
  const failed = (error) => error && settle({ answer: null, error: error.code });
  socket.on('message', () => settle({ answer: 'answered', error: null }));
  socket.on('error', failed);
  socket.connect(port, host, (error) => (error ? failed(error) : socket.send('hello', failed)));
};
(async () => {
  const outcomes = [];
  for (const attempt of JSON.parse(process.argv[1])) {
    const started = performance.now();
    const result = await new Promise((settle) => {
      (attempt.kind === 'tcp' ? tcp : udp)(attempt, settle);
      setTimeout(settle, 400, { answer: null, error: 'silence' });
    });
    outcomes.push({ ...result, ms: performance.now() - started });
  }
  console.log(JSON.stringify(outcomes));
  process.exit();
})();
`;

test('production answers where it may: the attempts are worth something', async () => {
  const [published] = await attempt(process.pid, [{ kind: 'tcp', host: '127.0.0.1', port: PUBLISHED }]);
  assert.match(published?.answer ?? '', /HTTP/);
  const reached = await attempt(
    process.pid,
    addresses.map((host) => ({ kind: 'tcp', host, port: PORT })),
  );
  for (const outcome of reached) assert.match(outcome.answer ?? '', /^machine/);
});

test('an agent in a session reaches nothing, and is refused at once', async () => {
  const attempts = await targets();
  const before = heard();
  const ran = await machine.cli('exec', 'shop:a', '--', '/opt/bulkhead/node', '-e', AGENT, JSON.stringify(attempts));
  assert.equal(ran.code, 0, ran.stderr);
  allRefused(attempts, JSON.parse(ran.stdout) as Outcome[]);
  assert.deepEqual(heard(), before);
});

test('a name fails at once', async () => {
  const ran = await machine.cli('exec', 'shop:a', '--', 'getent', 'ahosts', 'packages.example.com');
  assert.equal(ran.code, 2, ran.stderr);
  assert.ok(ran.ms < 1000, `${ran.ms} ms`);
});

test('root of the cell reaches nothing, with its own rules flushed and routes of its own', async () => {
  const attempts = [...(await targets()), { kind: 'ping', host: '8.8.8.8' } as const];
  const before = heard();
  allRefused(attempts, await attempt(fork, attempts));
  const inCell = (...command: string[]) => exec('nsenter', [`--net=/proc/${fork}/ns/net`, ...command]);
  await inCell('nft', 'flush', 'ruleset');
  await inCell('ip', 'route', 'replace', 'default', 'dev', 'eth0', 'scope', 'link');
  allRefused(attempts, await attempt(fork, attempts));
  assert.deepEqual(heard(), before);
});

test("with the gateway's rules flushed as well, nothing is reached", async () => {
  const attempts = await targets();
  const before = heard();
  await exec('nsenter', [`--net=${machine.paths.run}/gateway.netns`, 'nft', 'flush', 'ruleset']);
  allRefused(attempts, await attempt(fork, attempts));
  assert.deepEqual(heard(), before);
});

test('seen to bite: with forwarding on and a route, one fork reaches another', async () => {
  const inGateway = (...command: string[]) => exec('nsenter', [`--net=${machine.paths.run}/gateway.netns`, ...command]);
  await inGateway('ip', 'rule', 'add', 'pref', '4', 'lookup', 'main');
  await inGateway('sysctl', '-qw', 'net.ipv4.ip_forward=1');
  const outcomes = await attempt(fork, await targets());
  await inGateway('sysctl', '-qw', 'net.ipv4.ip_forward=0');
  await inGateway('ip', 'rule', 'del', 'pref', '4');
  assert.ok(outcomes.some((outcome) => outcome.answer?.startsWith('other fork') ?? false));
  const attempts = await targets();
  allRefused(attempts, await attempt(fork, attempts));
});
