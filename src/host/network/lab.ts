import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFile, readdir, readlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseId, type Id } from '../../core/ids.ts';
import { SAFE_ENVIRONMENT, exec, start } from '../exec.ts';
import type { Attempt, Outcome } from './probe.ts';

/**
 * For tests as root: a machine that is made up, with an outside world and
 * namespaces like those of cells. The whole test file runs inside the machine's
 * network namespace, so that nothing of the real one is touched or reached.
 */
export const MACHINE = { four: '198.51.100.1', six: '2001:db8::1' } as const;
export const WORLD = { four: '198.51.100.2', six: '2001:db8::2' } as const;

const INSIDE = 'BULKHEAD_LAB';

/**
 * Runs a test file again in a network namespace of its own, and reports each of its tests
 * as one of this process. True: this already is that run.
 */
export async function inLab(file: string): Promise<boolean> {
  if (process.env[INSIDE] === '1') return true;
  const own = { ...(process.env as Record<string, string>) };
  // Set by a runner above, it would make the report one for that runner alone.
  delete own['NODE_TEST_CONTEXT'];
  const child = await start('unshare', ['--net', '--', process.execPath, '--test-reporter=tap', file], {
    stdio: ['ignore', 'pipe', 'inherit'],
    environment: { ...SAFE_ENVIRONMENT, ...own, [INSIDE]: '1' },
  });
  let tap = '';
  child.stdout?.on('data', (chunk: Buffer) => (tap += chunk.toString('utf8')));
  const code = await new Promise<number>((resolve) => child.once('close', (ended) => resolve(ended ?? 1)));
  const results = [...tap.matchAll(/^(not ok|ok) \d+ - (.*)\n((?: {2}.*\n)*)/gm)];
  for (const [, outcome, name, detail] of results) test(name ?? '', () => assert.equal(outcome, 'ok', detail));
  if (results.length === 0)
    test(`${path.basename(file)} in a namespace of its own`, () => assert.fail(`it ended with ${code}:\n${tap}`));
  else test('the run in a namespace of its own ended well', () => assert.equal(code, 0, tap.slice(-2000)));
  return false;
}

/** A process that only holds namespaces, until `end`. */
export interface Holder {
  pid: number;
  end(): Promise<void>;
}

/** A namespace with a user namespace above it, as a cell's: its root is host id 0x70000000. */
export async function aCell(): Promise<Holder & { id: Id }> {
  const holder = await hold(['--user', '--net']);
  for (const map of ['uid_map', 'gid_map']) await writeFile(`/proc/${holder.pid}/${map}`, '0 1879048192 65536');
  const id = parseId(randomUUID());
  if (id === undefined) throw new Error('not a UUID');
  return { ...holder, id };
}

/** Sets the machine up and joins a world to it; without `online` it has its loopback alone. */
export async function aMachine(online: boolean): Promise<Holder> {
  await exec('ip', ['link', 'set', 'lo', 'up']);
  const world = await hold(['--net']);
  if (!online) return world;
  await ip(process.pid, [
    `link add eth0 type veth peer name eth0 netns /proc/${world.pid}/ns/net`,
    `addr add ${MACHINE.four}/24 dev eth0`,
    `addr add ${MACHINE.six}/64 dev eth0 nodad`,
    'link set eth0 up',
    `route add default via ${WORLD.four}`,
  ]);
  await ip(world.pid, [
    'link set lo up',
    `addr add ${WORLD.four}/24 dev eth0`,
    `addr add ${WORLD.six}/64 dev eth0 nodad`,
    'link set eth0 up',
  ]);
  await exec('ip', ['-6', 'route', 'add', 'default', 'via', WORLD.six, 'dev', 'eth0']);
  await speaksSix(process.pid, WORLD.six, 9);
  return world;
}

/** `ip -batch` in a process's network namespace. */
export async function ip(pid: number, lines: readonly string[]): Promise<void> {
  await exec('nsenter', [`--net=/proc/${pid}/ns/net`, 'ip', '-batch', '-'], { input: `${lines.join('\n')}\n` });
}

/** Waits until IPv6 works: the kernel takes up to a second to believe in a new link. */
export async function speaksSix(pid: number, host: string, port: number): Promise<void> {
  for (let round = 0; round < 10; round += 1) {
    const [outcome] = await attempt(pid, [{ kind: 'tcp', host, port }]);
    if (outcome?.error !== 'silence') return;
  }
}

const PROBE = path.join(import.meta.dirname, 'probe.ts');

/**
 * Tries what an attacker would, and says how each ended: as the machine's root in a
 * cell's network namespace, who can do there whatever root of the cell could, and more.
 */
export async function attempt(pid: number, attempts: readonly Attempt[]): Promise<Outcome[]> {
  const { stdout } = await exec('nsenter', [`--net=/proc/${pid}/ns/net`, process.execPath, PROBE], {
    input: JSON.stringify(attempts),
    deadline: 30_000,
  });
  return JSON.parse(stdout) as Outcome[];
}

/** Milliseconds in which a refusal comes: nobody waits for a time-out. */
const AT_ONCE = 100;

/** Throws unless every attempt was refused, and at once; a busy machine may hold single ones up. */
export function allRefused(attempts: readonly Attempt[], outcomes: readonly Outcome[]): void {
  if (outcomes.length !== attempts.length)
    throw new Error(`${outcomes.length} outcomes of ${attempts.length} attempts`);
  outcomes.forEach((outcome, index) => {
    if (outcome.answer !== null || outcome.error === 'silence')
      throw new Error(`not refused: ${JSON.stringify(attempts[index])} ${JSON.stringify(outcome)}`);
  });
  const times = outcomes.map((outcome) => outcome.ms).toSorted((a, b) => a - b);
  const median = times[Math.floor(times.length / 2)] ?? 0;
  if (median > AT_ONCE) throw new Error(`refused after ${median} ms`);
}

/** What root of a cell does to send the addresses of loopback into its way out; the answers are taken. */
export async function reroute(pid: number): Promise<void> {
  await exec('nsenter', [`--net=/proc/${pid}/ns/net`, 'sh', '-s'], { input: REROUTE });
}

const REROUTE = `
set -e
for each in all eth0 lo; do echo 1 > /proc/sys/net/ipv4/conf/$each/route_localnet; echo 0 > /proc/sys/net/ipv4/conf/$each/rp_filter; done
source=$(ip -4 -o addr show dev eth0 scope global | awk '{print $4}' | cut -d/ -f1)
six=$(ip -6 -o addr show dev eth0 scope global | awk '{print $4}' | cut -d/ -f1)
ip addr del 127.0.0.1/8 dev lo
ip route add 127.0.0.0/8 via $(ip route show default | awk '{print $3}') dev eth0 src $source
ip -6 addr del ::1/128 dev lo
[ -z "$six" ] || ip -6 route add ::1/128 via $(ip -6 route show default | awk '{print $3}') dev eth0 src $six
`;

/** A server of a lab: what it heard tells whether anything arrived, though no answer came back. */
export interface Listener extends Holder {
  /** Where from, over what and to which of its addresses: `tcp 192.0.2.1 > 127.0.0.1`; oldest first. */
  heard(): string[];
}

/** A server that answers everything on a port with its name and whom it sees, over TCP and UDP. */
export async function listen(pid: number, name: string, port: number, hosts: readonly string[]): Promise<Listener> {
  const child = await start(
    'nsenter',
    [`--net=/proc/${pid}/ns/net`, process.execPath, '-e', SERVER, name, String(port), ...hosts],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  let said = '';
  await new Promise<void>((resolve, reject) => {
    child.stdout?.on('data', (chunk) => {
      said += String(chunk);
      if (said.startsWith('ready')) resolve();
    });
    child.once('exit', (code) => reject(new Error(`the server "${name}" ended with ${code}`)));
  });
  return { ...holderOf(child), heard: () => said.split('\n').slice(1).filter(Boolean) };
}

const SERVER = `
const [name, port, ...hosts] = process.argv.slice(1);
const open = new Set(hosts.flatMap((host) => ['tcp ' + host, 'udp ' + host]));
const ready = (which) => { open.delete(which); if (open.size === 0) console.log('ready'); };
for (const host of hosts) {
  const six = host.includes(':');
  require('node:net').createServer((socket) => {
    console.log('tcp ' + socket.remoteAddress + ' > ' + host);
    socket.on('error', () => {});
    socket.once('data', () => socket.end(name + ' to ' + socket.remoteAddress));
  }).listen({ port: Number(port), host, ipv6Only: six }, () => ready('tcp ' + host));
  const socket = require('node:dgram').createSocket({ type: six ? 'udp6' : 'udp4', ipv6Only: six });
  socket.on('message', (text, from) => {
    console.log('udp ' + from.address + ' > ' + host);
    socket.send(name + ' to ' + from.address, from.port, from.address);
  });
  socket.bind(Number(port), host, () => ready('udp ' + host));
}
`;

async function hold(namespaces: readonly string[]): Promise<Holder> {
  const before = await netOf(process.pid);
  const child = await start('unshare', [...namespaces, '--', 'sleep', '300'], { stdio: 'ignore' });
  const holder = holderOf(child);
  // It exists once it has left this process's namespace.
  while ((await netOf(holder.pid)) === before) await sleep(2);
  return holder;
}

function holderOf(child: Awaited<ReturnType<typeof start>>): Holder {
  const { pid } = child;
  if (pid === undefined) throw new Error('did not start');
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  return {
    pid,
    async end() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

/** Which network namespace a process is in, as /proc names it. */
export const netOf = (pid: number): Promise<string> => readlink(`/proc/${pid}/ns/net`);

/** What a test may not leave behind, as text that can be compared. */
export async function leftovers(cgroup: string): Promise<string> {
  const links = (await exec('ip', ['-brief', 'link'])).stdout.replaceAll(/@if\d+/g, '');
  const mounts = (await readFile('/proc/self/mountinfo', 'utf8'))
    .split('\n')
    .filter((line) => line.includes(`/run/${cgroup}/`));
  const groups = (await readdir('/sys/fs/cgroup/unified').catch(() => readdir('/sys/fs/cgroup'))).filter(
    (name) => name === cgroup,
  );
  const pastas = await passts();
  return [links, ...mounts, ...groups, ...pastas].join('\n');
}

/** Processes of this machine's namespace that are pasta's, in whatever variant it runs. */
async function passts(): Promise<string[]> {
  const home = await netOf(process.pid);
  const found: string[] = [];
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const name = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '');
    if (/^(pasta|passt)/.test(name) && (await netOf(Number(pid)).catch(() => '')) === home)
      found.push(`${name.trim()} ${pid}`);
  }
  return found;
}
