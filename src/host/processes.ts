import { uptime } from 'node:os';
import type { ObservedProcess } from '../core/recognise.ts';
import type { Lineage } from '../core/sign-in.ts';
import {
  argumentsIn,
  isNested,
  linkOf,
  numbers,
  pick,
  readKernel,
  readMemory,
  sameAs,
  uidsOf,
  variablesIn,
  type Numbers,
} from './proc.ts';
import { closeFd, pidfdAlive, pidfdOpen } from './syscalls.ts';

/**
 * Looks at processes of the machine through /proc.
 *
 * A number in /proc may be another process by the time it is read. So every process
 * is held by a pidfd first: its number is not given away before it is reaped, hence
 * what was read is its own where the pidfd still answers afterwards. What can change
 * while it lives (an exec, a new parent) is read twice and must be the same.
 */
export interface Processes {
  /**
   * The process behind a pidfd and those above it; undefined when it is gone.
   * `brief`: its own numbers alone, nothing from its memory and no ancestors.
   */
  observe(pidfd: number, pid: number, how?: 'whole' | 'brief'): Promise<Lineage | undefined>;
  /** Holds a process by a pidfd, if it is the one that was seen. The caller closes it with `release`. */
  hold(seen: Pick<ObservedProcess, 'pid' | 'started'>): number | undefined;
  alive(pidfd: number): boolean;
  release(pidfd: number): void;
  /** Milliseconds since boot, suspended time included (CLOCK_BOOTTIME): what `started` is counted in. */
  sinceBoot(): number;
}

/** Ancestors that are looked at; a longer line is not complete. */
const MOST_ANCESTORS = 64;
const TRIES = 3;
const ENVIRONMENT_LIMIT = 128 << 10;
const ARGV_LIMIT = 16 << 10;

interface Held extends Numbers {
  pidfd: number;
}

/** `keep` says which variables are kept: an environment holds secrets, and none of them leaves this file. */
export function createProcesses(deps: { keep: (variable: string) => boolean }): Processes {
  /** What is seen of one process; undefined when it changed under the reading. */
  async function look(held: Held): Promise<ObservedProcess | undefined> {
    const uids = uidsOf(readKernel(held.pid, 'status') ?? '');
    const exe = linkOf(held.pid);
    const room = Math.max(1, Math.min(held.environ, ENVIRONMENT_LIMIT));
    const [argv, environment] = await Promise.all([
      readMemory(held.pid, 'cmdline', ARGV_LIMIT),
      readMemory(held.pid, 'environ', room),
    ]);
    const after = numbers(held.pid);
    if (after === undefined || !pidfdAlive(held.pidfd) || !sameAs(held, after)) return undefined;
    const whole = argv !== undefined && environment?.length === held.environ;
    return {
      ...pick(held),
      uids,
      exe,
      argv: argumentsIn(argv),
      environment: variablesIn(environment, deps.keep),
      readable: whole && exe !== null && uids.length === 4 && !held.zombie,
    };
  }

  async function whole(pidfd: number, pid: number): Promise<Lineage | undefined> {
    for (let attempt = 1; ; attempt += 1) {
      const { held, complete } = walk(pidfd, pid);
      const looked = await Promise.all(held.map(look));
      const self = held[0];
      const steady = complete && looked.every((seen) => seen !== undefined);
      for (const ancestor of held.slice(1)) closeFd(ancestor.pidfd);
      if (self === undefined || !pidfdAlive(pidfd)) return undefined;
      if (!steady && attempt < TRIES) continue;
      const chain = held.map((seen, at) => looked[at] ?? blank(seen));
      return { self: chain[0] ?? blank(self), ancestors: chain.slice(1), complete: steady, nested: false };
    }
  }

  return {
    async observe(pidfd, pid, how = 'whole') {
      const status = readKernel(pid, 'status');
      const seen = numbers(pid);
      if (status === undefined || seen === undefined || !pidfdAlive(pidfd)) return undefined;
      const nested = isNested(status);
      if (how === 'whole' && !nested) return whole(pidfd, pid);
      return { self: { ...blank(seen), uids: uidsOf(status) }, ancestors: [], complete: false, nested };
    },
    hold(seen) {
      const pidfd = pidfdOpen(seen.pid);
      if (pidfd === undefined) return undefined;
      if (numbers(seen.pid)?.started === seen.started && pidfdAlive(pidfd)) return pidfd;
      closeFd(pidfd);
      return undefined;
    },
    alive: pidfdAlive,
    release: closeFd,
    sinceBoot: () => Math.round(uptime() * 1000),
  };
}

/**
 * The line of parents up to the first process, each held by a pidfd. A process is the
 * parent where, once it is held, the child still names it: had it ended before, the
 * child would have another.
 */
function walk(pidfd: number, pid: number): { held: Held[]; complete: boolean } {
  const held: Held[] = [];
  let next: { pidfd: number; pid: number } | undefined = { pidfd, pid };
  while (next !== undefined) {
    const before = numbers(next.pid);
    if (before === undefined) {
      if (next.pidfd !== pidfd) closeFd(next.pidfd);
      return { held, complete: false };
    }
    held.push({ ...before, pidfd: next.pidfd });
    next = undefined;
    if (before.ppid === 0) return { held, complete: true };
    const parent = held.length <= MOST_ANCESTORS ? pidfdOpen(before.ppid) : undefined;
    if (parent === undefined) return { held, complete: false };
    next = { pidfd: parent, pid: before.ppid };
    const after = numbers(before.pid);
    if (after !== undefined && pidfdAlive(held.at(-1)?.pidfd ?? -1) && after.ppid === before.ppid) continue;
    closeFd(parent);
    return { held, complete: false };
  }
  return { held, complete: false };
}

const blank = (seen: Numbers): ObservedProcess => ({
  ...pick(seen),
  uids: [],
  exe: null,
  argv: [],
  environment: [],
  readable: false,
});
