import { mkdir, open, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { AppError } from '../../contract/errors.ts';
import type { Id } from '../../core/ids.ts';
import { type Cgroups, createCgroups } from '../cells/cgroups.ts';
import { exec, program, start } from '../exec.ts';
import { fence } from './fence.ts';
import { type Port, firstFree, mustBeFree, portArguments } from './ports.ts';
import { GATEWAY_ADDRESS, type Resolvers } from './resolvers.ts';

/**
 * Ways out through pasta: one process for each cell, in a cgroup of its own behind
 * the fence. It needs no forwarding and no rules of the machine, and goes on while
 * the daemon is away. The cgroup is how the next daemon finds it: no number that
 * another process could have got.
 */
export interface WaysOut {
  /** Starts the cell's way out; one that is there is replaced. Throws `exists` for a port that is taken. */
  open(cell: Id, pid: number, ports: readonly Port[]): Promise<void>;
  /** True while it lives; undefined: the cell has none. */
  alive(cell: Id): boolean | undefined;
  /** Ends it. None there is a success. False: there was none. */
  close(cell: Id): Promise<boolean>;
  closeAll(): Promise<void>;
}

/** Milliseconds until the interface must be there; 30 to 80 are usual. */
const READY_DEADLINE = 5000;
/** Milliseconds for it to be gone after SIGKILL. */
const END_DEADLINE = 5000;

/**
 * Read by a shell from its stdin: it enters the group that its first argument names, and
 * becomes the program of the others. So pasta's first instruction runs behind the fence. The
 * log is bounded (1 MiB, in blocks of 512 bytes), and a full one is no reason to end.
 */
const ENTER = `set -eu
trap '' XFSZ
ulimit -f 2048
echo $$ > "$1/cgroup.procs"
shift
exec "$@" < /dev/null
`;

export function createWaysOut(deps: { run: string; cgroup: string; resolvers: () => Resolvers }): WaysOut {
  const cgroups = createCgroups();
  const all = path.join(deps.cgroup, 'pasta');
  const logs = path.join(deps.run, 'pasta');
  const groupOf = (cell: Id): string => path.join(all, cell);
  const logOf = (cell: Id): string => path.join(logs, `${cell}.log`);

  async function close(cell: Id): Promise<boolean> {
    const known = cgroups.exists(groupOf(cell));
    if (known) await endGroup(cgroups, groupOf(cell));
    await rm(logOf(cell), { force: true });
    return known;
  }

  async function launch(cell: Id, pid: number, ports: readonly Port[], address: readonly string[]): Promise<void> {
    const { forwarded } = deps.resolvers();
    const pasta = await program('pasta');
    const args = [...PLAIN, ...address, ...portArguments(ports), ...forward(forwarded), String(pid)];
    cgroups.make(groupOf(cell));
    const directory = cgroups.directory(groupOf(cell));
    await fence(directory, { resolvers: forwarded === undefined ? [] : [forwarded], nowhere: GATEWAY_ADDRESS });
    await mkdir(logs, { recursive: true, mode: 0o700 });
    await begun(pid);
    const log = await open(logOf(cell), 'w', 0o600);
    const child = await start('sh', ['-s', directory, pasta, ...args], {
      stdio: ['pipe', 'ignore', log.fd],
      detached: true,
    }).finally(() => log.close());
    child.unref();
    // A shell that has ended already: its log says why.
    child.stdin?.on('error', () => {});
    child.stdin?.end(ENTER);
    const ended = new Promise<true>((resolve) => {
      child.once('exit', () => resolve(true));
      child.once('error', () => resolve(true));
    });
    await ready(cell, pid, ended);
  }

  /** Waits for the default route inside the cell: the last thing that pasta makes. */
  async function ready(cell: Id, pid: number, ended: Promise<true>): Promise<void> {
    const late = performance.now() + READY_DEADLINE;
    while (!(await hasDefaultRoute(pid))) {
      const over = await Promise.race([ended, sleep(2, false)]);
      if (!over && performance.now() < late) continue;
      throw new AppError(over ? 'failed' : 'timeout', 'Cannot open the way out of a cell: pasta did not start', {
        why: await lastWords(logOf(cell)),
        next: ['bulkhead doctor'],
      });
    }
  }

  return {
    close,
    async open(cell, pid, ports) {
      await close(cell);
      await mustBeFree(ports);
      try {
        const launched = launch(cell, pid, ports, []).catch((error: unknown) => {
          if (!hasNoneToGive(error)) throw error;
          return launch(cell, pid, ports, OWN_ADDRESS);
        });
        // Both are over before anything is taken back.
        for (const part of await Promise.allSettled([launched, mendResets(pid)]))
          if (part.status === 'rejected') throw part.reason;
        const missing = await firstFree(ports);
        if (missing !== undefined) throw new AppError('failed', `Cannot publish ${missing}: pasta did not get it`);
      } catch (error) {
        await close(cell);
        throw error;
      }
    },
    alive: (cell) => (cgroups.exists(groupOf(cell)) ? cgroups.populated(groupOf(cell)) : undefined),
    async closeAll() {
      for (const cell of cgroups.children(all)) await close(cell as Id);
      await cgroups.remove(all);
      await rm(logs, { recursive: true, force: true });
    },
  };
}

/**
 * Until late March 2023 (Debian 12) pasta refused a connection by a reset without ACK, which
 * the kernel ignores in SYN-SENT (RFC 9293, 3.10.7.3): a refusal, of the fence too, looked like
 * silence. Root of the cell may take the rule away and has its time-outs back.
 */
const MEND_RESETS = `
table inet bulkhead
delete table inet bulkhead
table inet bulkhead {
  chain resets {
    type filter hook prerouting priority raw; policy accept;
    iifname "eth0" tcp flags & (rst | ack) == rst tcp flags set rst | ack
  }
}
`;

async function mendResets(pid: number): Promise<void> {
  await exec('nsenter', [`--net=/proc/${pid}/ns/net`, 'nft', '-f', '-'], { input: MEND_RESETS, deadline: 10_000 });
}

/** Ends all that lives in a group, and takes it away. Throws `timeout`: a process may wait for a disk. */
async function endGroup(cgroups: Cgroups, group: string): Promise<void> {
  cgroups.kill(group);
  for (const late = performance.now() + END_DEADLINE; cgroups.populated(group); await sleep(2))
    if (performance.now() > late) throw new AppError('timeout', 'The way out of a cell does not end', { why: group });
  await cgroups.remove(group);
}

/**
 * For every cell. `-T none -U none --no-map-gw`: or the cell's loopback, and its
 * gateway address, would be the machine's loopback. `--runas 0`: uid 0 owns the
 * cell's user namespace. Its name inside is eth0 whatever the machine's is.
 */
const PLAIN = [
  '-f',
  '-q',
  '--config-net',
  '-I',
  'eth0',
  '-T',
  'none',
  '-U',
  'none',
  '--no-map-gw',
  '--runas',
  '0',
] as const;

const forward = (resolver: string | undefined): string[] =>
  resolver === undefined ? [] : ['--dns-forward', GATEWAY_ADDRESS];

/**
 * pasta gives the cell the machine's address, so that it is not the machine that answers
 * there. A machine without a default route (offline, or not yet online after a boot), or
 * with one through a tunnel, has none to give: then the cell gets this one. Published ports
 * work at once; so does the way out when the network comes, as it is ordinary sockets.
 */
const OWN_ADDRESS = '-4 -i lo -M 02:00:64:7f:ff:fe -a 100.127.255.1 -n 24 -g 100.127.255.254'.split(' ');

/** pasta's own words when it ends for that reason. */
const hasNoneToGive = (error: unknown): boolean =>
  error instanceof AppError && /External interface not usable/.test(error.why ?? '');

/**
 * Waits until a cell's first program has taken the runtime's place. The runtime's own process may not be traced,
 * and pasta cannot enter what it cannot trace; the runtime says that the cell is started a moment before. In an exec,
 * the process may be traced first and has its new name then (begin_new_exec, fs/exec.c).
 */
async function begun(pid: number): Promise<void> {
  const late = performance.now() + READY_DEADLINE;
  const name = (): Promise<string> => readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '');
  while (performance.now() < late && (await name()).startsWith('runc')) await sleep(2);
}

/** Whether the network namespace of a process has a default route by eth0, in one of the families. */
async function hasDefaultRoute(pid: number): Promise<boolean> {
  const [four, six] = await Promise.all(
    ['route', 'ipv6_route'].map((file) => readFile(`/proc/${pid}/net/${file}`, 'utf8').catch(() => '')),
  );
  // Written by the kernel: device, destination, five more, mask; and destination, its length, more, device last.
  return /^eth0\t0{8}\t(\S+\s+){5}0{8}\t/m.test(four ?? '') || /^0{32} 00 .* eth0$/m.test(six ?? '');
}

/** What pasta said last; its complaints that there is no syslog left out. */
async function lastWords(file: string): Promise<string> {
  const text = await readFile(file, 'utf8').catch(() => '');
  return text
    .split('\n')
    .filter((line) => line !== '' && !line.includes('to syslog'))
    .slice(-3)
    .join('; ')
    .slice(0, 300);
}
