import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { exec, start } from '../exec.ts';
import { pathsOf } from '../paths.ts';
import { addressOfSlot } from './gateway-rules.ts';
import {
  MACHINE,
  WORLD,
  aCell,
  aMachine,
  allRefused,
  attempt,
  inLab,
  ip,
  leftovers,
  listen,
  type Holder,
  type Listener,
} from './lab.ts';
import { createNetworks } from './networks.ts';
import type { Attempt } from './probe.ts';
import { GATEWAY_ADDRESS } from './resolvers.ts';

const OTHER = addressOfSlot(2);

/** Where root of a fork would like to get: with listeners at those that can have one. */
const TCP: Attempt[] = [
  MACHINE.four,
  WORLD.four,
  OTHER,
  '192.0.2.2',
  '8.8.8.8',
  '169.254.169.254',
  GATEWAY_ADDRESS,
  '10.0.0.1',
].map((host) => ({ kind: 'tcp', host, port: 8080 }));
const UDP: Attempt[] = [MACHINE.four, WORLD.four, OTHER, '8.8.8.8', GATEWAY_ADDRESS].flatMap((host) =>
  [8080, 53].map((port) => ({ kind: 'udp', host, port })),
);
const SIX: Attempt[] = [MACHINE.six, WORLD.six, '2001:db8::99', '::ffff:198.51.100.1'].flatMap((host) => [
  { kind: 'tcp', host, port: 8080 },
  { kind: 'udp', host, port: 8080 },
]);
const PING: Attempt[] = [MACHINE.four, OTHER, '8.8.8.8', GATEWAY_ADDRESS].map((host) => ({ kind: 'ping', host }));

if (await inLab(import.meta.filename)) {
  const paths = pathsOf(`gatewaytest-${process.pid}`);
  const networks = createNetworks({ paths });
  const inGateway = (...command: string[]) => exec('nsenter', [`--net=${paths.run}/gateway.netns`, ...command]);
  const held: Holder[] = [];
  const keep = <T extends Holder>(holder: T): T => {
    held.push(holder);
    return holder;
  };
  let fork: Awaited<ReturnType<typeof aCell>>;
  let other: typeof fork;
  let clean = '';
  let listeners: Listener[] = [];
  const heard = (): string[] => listeners.flatMap((listener) => listener.heard());

  before(async () => {
    const world = keep(await aMachine(true));
    clean = await leftovers(paths.cgroup);
    await networks.prepare();
    fork = keep(await aCell());
    other = keep(await aCell());
    await networks.attach(fork.id, fork.pid, 1, { kind: 'none' });
    await networks.attach(other.id, other.pid, 2, { kind: 'none' });
    listeners = [
      keep(await listen(process.pid, 'machine', 8080, ['127.0.0.1', '::1', MACHINE.four, MACHINE.six])),
      keep(await listen(world.pid, 'world', 8080, [WORLD.four, WORLD.six])),
      keep(await listen(other.pid, 'other fork', 8080, ['0.0.0.0', '::'])),
    ];
  });

  after(async () => {
    for (const holder of held.reverse()) await holder.end();
    await networks.teardown();
    await exec('rm', ['-rf', paths.run]);
  });

  const refused = async (attempts: readonly Attempt[]): Promise<void> => {
    const before = heard();
    const outcomes = await attempt(fork.pid, attempts);
    assert.deepEqual(heard(), before);
    allRefused(attempts, outcomes);
  };

  test('the probe reaches all of it from where there is no wall', async () => {
    for (const outcome of await attempt(process.pid, [
      { kind: 'tcp', host: MACHINE.four, port: 8080 },
      { kind: 'tcp', host: WORLD.six, port: 8080 },
      { kind: 'udp', host: WORLD.four, port: 8080 },
      { kind: 'udp', host: MACHINE.six, port: 8080 },
      { kind: 'ping', host: WORLD.four },
    ]))
      assert.ok(outcome.answer !== null, JSON.stringify(outcome));
    const [own] = await attempt(other.pid, [{ kind: 'tcp', host: OTHER, port: 8080 }]);
    assert.equal(own?.answer, `other fork to ${OTHER}`);
  });

  test('root of a fork reaches nothing over TCP, UDP, IPv6 or ICMP, and is refused at once', async () => {
    await refused([...TCP, ...UDP, ...SIX, ...PING]);
  });

  test('refusals are never held back, however many there are', async () => {
    await refused(
      Array.from({ length: 40 }, (_, index): Attempt => ({ kind: 'udp', host: GATEWAY_ADDRESS, port: 1000 + index })),
    );
  });

  test('a name fails at once, asked by the C library', async () => {
    const script = 'echo "nameserver $1" > /tmp/resolv; mount --bind /tmp/resolv /etc/resolv.conf; shift; exec "$@"';
    const asked = await exec(
      'nsenter',
      [
        `--net=/proc/${fork.pid}/ns/net`,
        'unshare',
        '--mount',
        'sh',
        '-c',
        `mount -t tmpfs none /tmp; ${script}`,
        'sh',
        networks.resolver.fork,
        'getent',
        'ahosts',
        'packages.example.com',
      ],
      { accept: [2] },
    );
    console.log(`getent: ${asked.ms.toFixed(0)} ms`);
    assert.ok(asked.ms < 500, `${asked.ms} ms`);
  });

  test('loopback of the cell works, in both families', async () => {
    const own = await listen(fork.pid, 'own', 9090, ['127.0.0.1', '::1']);
    const outcomes = await attempt(fork.pid, [
      { kind: 'tcp', host: '127.0.0.1', port: 9090 },
      { kind: 'tcp', host: '::1', port: 9090 },
      { kind: 'udp', host: '::1', port: 9090 },
    ]);
    await own.end();
    assert.deepEqual(
      outcomes.map((outcome) => outcome.answer),
      ['own to 127.0.0.1', 'own to ::1', 'own to ::1'],
    );
  });

  test("another fork's address as the source is heard by nobody", async () => {
    await ip(fork.pid, [
      `addr add ${OTHER}/32 dev eth0`,
      `addr add ${MACHINE.four}/32 dev eth0`,
      'addr add 203.0.113.9/32 dev eth0',
    ]);
    const spoofed = [OTHER, MACHINE.four, '203.0.113.9'].flatMap((from): Attempt[] => [
      { kind: 'udp', host: WORLD.four, port: 8080, from },
      { kind: 'tcp', host: WORLD.four, port: 8080, from },
      { kind: 'udp', host: GATEWAY_ADDRESS, port: 53, from },
    ]);
    const before = heard();
    const outcomes = await attempt(fork.pid, spoofed);
    assert.deepEqual(heard(), before);
    await ip(fork.pid, [
      `addr del ${OTHER}/32 dev eth0`,
      `addr del ${MACHINE.four}/32 dev eth0`,
      'addr del 203.0.113.9/32 dev eth0',
    ]);
    // No refusal either: it would go to whom the address belongs.
    for (const outcome of outcomes) assert.deepEqual([outcome.answer, outcome.error], [null, 'silence']);
  });

  test('routes that root of the cell makes lead nowhere else', async () => {
    await ip(fork.pid, [
      'route replace default dev eth0 scope link',
      `route add ${MACHINE.four}/32 dev eth0 scope link`,
    ]);
    await refused([...TCP, ...UDP, ...PING]);
    await ip(fork.pid, [
      `route del ${MACHINE.four}/32`,
      `route replace default via ${GATEWAY_ADDRESS} dev eth0 onlink src ${addressOfSlot(1)}`,
    ]);
    await refused(TCP);
  });

  test('IPv6 that root of the cell sets up reaches nothing', async () => {
    await ip(fork.pid, ['addr add fd00:77::5/64 dev eth0 nodad', 'addr add 2001:db8::5/64 dev eth0 nodad']);
    const outcomes = await attempt(fork.pid, [
      { kind: 'tcp', host: MACHINE.six, port: 8080 },
      { kind: 'udp', host: WORLD.six, port: 8080 },
    ]);
    await ip(fork.pid, ['addr del fd00:77::5/64 dev eth0', 'addr del 2001:db8::5/64 dev eth0']);
    for (const outcome of outcomes) assert.equal(outcome.answer, null);
  });

  test('with all rules flushed, here and there, the walls stand', async () => {
    await inGateway('nft', 'flush', 'ruleset');
    await exec('nft', ['flush', 'ruleset']);
    await exec('nsenter', ['--target', String(fork.pid), '--net', 'nft', 'flush', 'ruleset']);
    await refused([...TCP, ...UDP, ...SIX]);
    // Nobody is left to refuse a ping; nobody answers it either.
    for (const outcome of await attempt(fork.pid, PING.slice(0, 2))) assert.equal(outcome.answer, null);
    await networks.prepare();
    await refused(PING);
  });

  test('seen to bite: in a weakened namespace one fork reaches another', async () => {
    await inGateway('nft', 'flush', 'ruleset');
    await inGateway('ip', 'rule', 'add', 'pref', '4', 'lookup', 'main');
    await inGateway('sysctl', '-qw', 'net.ipv4.ip_forward=1');
    const [through] = await attempt(fork.pid, [{ kind: 'tcp', host: OTHER, port: 8080 }]);
    await inGateway('sysctl', '-qw', 'net.ipv4.ip_forward=0');
    await inGateway('ip', 'rule', 'del', 'pref', '4');
    await networks.prepare();
    assert.equal(through?.answer, `other fork to ${addressOfSlot(1)}`);
    await refused([{ kind: 'tcp', host: OTHER, port: 8080 }]);
  });

  test('everything may be repeated', async () => {
    await networks.prepare();
    await networks.attach(fork.id, fork.pid, 1, { kind: 'none' });
    await networks.attach(fork.id, fork.pid, 1, { kind: 'none' });
    await refused(TCP);
    assert.equal(await networks.healthy(fork.id), true);
    await networks.detach(fork.id, 1);
    await networks.detach(fork.id, 1);
    const links = (await inGateway('ip', '-brief', 'link')).stdout;
    assert.doesNotMatch(links, /\bf1@/);
    await networks.attach(fork.id, fork.pid, 1, { kind: 'none' });
  });

  test('a cell whose link a killed daemon left half-made is connected by the next', async () => {
    await networks.detach(fork.id, 1);
    await inGateway(
      'ip',
      'link',
      'add',
      'f1',
      'type',
      'veth',
      'peer',
      'name',
      'eth0',
      'netns',
      `/proc/${fork.pid}/ns/net`,
    );
    const next = createNetworks({ paths });
    await next.prepare();
    await next.attach(fork.id, fork.pid, 1, { kind: 'none' });
    await refused(TCP);
  });

  test('two instances beside each other have the same names and addresses, and nothing to do with each other', async () => {
    const second = pathsOf(`gatewaytest-${process.pid}-b`);
    const beside = createNetworks({ paths: second });
    await beside.prepare();
    const twin = keep(await aCell());
    await beside.attach(twin.id, twin.pid, 1, { kind: 'none' });
    await refused(TCP);
    await beside.teardown();
    await exec('rm', ['-r', second.run]);
    await refused(TCP);
  });

  test('killed at any point, the next start makes it whole', async () => {
    const script = `
      import { createNetworks } from '${import.meta.dirname}/networks.ts';
      import { pathsOf } from '${import.meta.dirname}/../paths.ts';
      const networks = createNetworks({ paths: pathsOf('${paths.instance}') });
      console.log('ready');
      await networks.prepare();
      await networks.attach('${fork.id}', ${fork.pid}, 1, { kind: 'none' });
      console.log('done');
      setInterval(() => {}, 1000);
    `;
    for (let after = 1; after < 50; after += 6) {
      await networks.teardown();
      const daemon = await start('env', [process.execPath, '--input-type=module', '-e', script], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const ended = new Promise((resolve) => daemon.once('exit', resolve));
      await new Promise((resolve) => daemon.stdout?.once('data', resolve));
      await sleep(after);
      daemon.kill('SIGKILL');
      await ended;
      await networks.prepare();
      await networks.attach(fork.id, fork.pid, 1, { kind: 'none' });
      await refused([...TCP.slice(0, 3), ...UDP.slice(0, 2), ...PING.slice(0, 1)]);
    }
    await networks.attach(other.id, other.pid, 2, { kind: 'none' });
  });

  test('connecting a cell takes 20 ms or less', async () => {
    const times: number[] = [];
    for (let round = 0; round < 7; round += 1) {
      await networks.detach(fork.id, 1);
      const started = performance.now();
      await networks.attach(fork.id, fork.pid, 1, { kind: 'none' });
      times.push(performance.now() - started);
    }
    const median = times.toSorted((a, b) => a - b)[3] ?? Infinity;
    console.log(`attach none: median ${median.toFixed(1)} ms of ${times.map((time) => time.toFixed(1)).join(' ')}`);
    assert.ok(median < 60, `${median} ms`);
  });

  test('nothing is left behind, in whatever order the cells end', async () => {
    await other.end();
    await networks.detach(other.id, 2);
    await networks.teardown();
    await networks.teardown();
    assert.equal(await leftovers(paths.cgroup), clean);
    await networks.detach(fork.id, 1);
    const [alone] = await attempt(fork.pid, [{ kind: 'tcp', host: MACHINE.four, port: 8080 }]);
    assert.equal(alone?.answer, null);
  });
}
