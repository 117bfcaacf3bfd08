import { readFile } from 'node:fs/promises';
import type { CellSpec } from '../cells.ts';
import { exec } from '../exec.ts';

/**
 * What the machine has once for everyone, and the kernel counts for the user who made a cell, which is root: one fork could
 * use up all of it, and production's programs would fail. So each fork gets a part.
 */
type Role = CellSpec['role'];

/** Terminals at once: the machine has kernel.pty.max of them, 3,072 for all that is not its own /dev/pts (devpts: `max`). */
export const TERMINALS: Record<Role, number> = { fork: 64, production: 512 };

/** Milliseconds. */
const DEADLINE = 30_000;
/** Of the watches on files; there are some ten thousand for each GiB of memory. */
const WATCHES_PART = 16;
/** Of what may watch: 128 for root where nothing else is set, and most programs have one. */
const WATCHERS_PART = 8;

/**
 * Limits that belong to a cell's user namespace. None of its own may be made in it, whatever a filter misses.
 * Written from outside: the files show the limits of the reader's namespace, and to change them takes
 * CAP_SYS_RESOURCE in it, which nothing in the cell has.
 */
export async function limitNamespace(pid: number, role: Role): Promise<void> {
  const limits = { max_user_namespaces: 0, ...(role === 'fork' ? await watchLimits() : {}) };
  const lines = Object.entries(limits).map(([name, most]) => `echo ${most} > /proc/sys/user/${name}`);
  await exec('nsenter', ['--user', '-t', String(pid), '/bin/sh', '-e'], {
    input: lines.join('\n'),
    deadline: DEADLINE,
  });
}

/** inotify(7): `user.max_inotify_*` of the machine, where this kernel has them. */
async function watchLimits(): Promise<Record<string, number>> {
  const parts = { max_inotify_instances: WATCHERS_PART, max_inotify_watches: WATCHES_PART };
  const read = Object.entries(parts).map(async ([name, part]): Promise<[string, number][]> => {
    const most = Number(await readFile(`/proc/sys/user/${name}`, 'utf8').catch(() => ''));
    return most > 0 ? [[name, Math.max(1, Math.floor(most / part))]] : [];
  });
  return Object.fromEntries((await Promise.all(read)).flat());
}

/**
 * A command's words before the runtime's own, when it makes a cell. Pending signals, which timers take too, and message
 * queues are counted for root; a namespace refuses when root's count is above the limit that its *maker* had
 * (inc_rlimit_ucounts, kernel/ucount.c). Made with half of it, all forks together leave production the other half.
 */
export async function makerLimits(role: Role): Promise<string[]> {
  if (role === 'production') return [];
  const limits = await readFile('/proc/self/limits', 'utf8');
  const half = (name: string, option: string): string[] => {
    const most = new RegExp(`^${name} +\\d+ +(\\d+)`, 'm').exec(limits)?.[1];
    return most === undefined ? [] : [`--${option}=${Math.floor(Number(most) / 2)}`];
  };
  return ['prlimit', ...half('Max pending signals', 'sigpending'), ...half('Max msgqueue size', 'msgqueue')];
}

/** Processes of all forks together: half of the numbers that there are (kernel.pid_max). */
export async function forkProcesses(): Promise<number> {
  return Math.floor(Number(await readFile('/proc/sys/kernel/pid_max', 'utf8')) / 2);
}
