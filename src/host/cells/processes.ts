import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { AppError } from '../../contract/errors.ts';
import type { CellProcess } from '../cells.ts';
import { readMemory } from '../proc.ts';
import { closeFd, pidfdOpen, tryCall } from '../syscalls.ts';
import type { Cgroups } from './cgroups.ts';

const SYS_PIDFD_SEND_SIGNAL = 424;
/** Ticks of `starttime` a second, the same on every architecture that Node runs on (USER_HZ). */
const TICKS = 100;
const COMMAND_LIMIT = 4096;
/** Milliseconds for the command lines of all processes of a cell. */
const COMMANDS_DEADLINE = 2000;

/** Groups of a cell and below it, with the session that each belongs to. */
function groupsOf(cgroups: Cgroups, cell: string): { group: string; session: string }[] {
  const below = (group: string, session: string): { group: string; session: string }[] => [
    { group, session },
    ...cgroups.children(group).flatMap((name) => below(`${group}/${name}`, session)),
  ];
  return [
    { group: cell, session: 'init' },
    ...cgroups.children(cell).flatMap((name) => below(`${cell}/${name}`, name)),
  ];
}

/** The processes of a cell by session, oldest first. */
export async function listProcesses(cgroups: Cgroups, cell: string, idBase: number): Promise<CellProcess[]> {
  const boot = Number(/^btime (\d+)$/m.exec(readFileSync('/proc/stat', 'utf8'))?.[1]) * 1000;
  const until = performance.now() + COMMANDS_DEADLINE;
  const found: CellProcess[] = [];
  for (const { group, session } of groupsOf(cgroups, cell))
    for (const pid of cgroups.processes(group)) {
      // One after the other, with a turn for other callers in between. Too late: its name has to do.
      const command = performance.now() < until ? await commandOf(pid) : '';
      const process = describe(pid, session, idBase, boot);
      if (process !== undefined) found.push(command === '' ? process : { ...process, command });
    }
  return found.sort((a, b) => a.started.getTime() - b.started.getTime() || a.hostPid - b.hostPid);
}

async function commandOf(hostPid: number): Promise<string> {
  const bytes = await readMemory(hostPid, 'cmdline', COMMAND_LIMIT);
  return (bytes ?? Buffer.alloc(0)).toString('utf8').split('\0').join(' ').trim();
}

function describe(hostPid: number, session: string, idBase: number, boot: number): CellProcess | undefined {
  try {
    const status = readFileSync(`/proc/${hostPid}/status`, 'utf8');
    const field = (name: string): string[] =>
      new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(status)?.[1]?.split(/\s+/) ?? [];
    return {
      pid: Number(field('NSpid').at(-1)),
      hostPid,
      user: Number(field('Uid')[1]) - idBase,
      session,
      started: new Date(boot + (Number(statOf(hostPid)[19]) * 1000) / TICKS),
      rss: Number(field('VmRSS')[0] ?? 0) * 1024,
      command: `[${field('Name').join(' ')}]`,
    };
  } catch {
    // It has ended meanwhile.
    return undefined;
  }
}

/** The fields of /proc/PID/stat after the name, which may hold spaces and brackets: [0] is the state (proc(5), field 3). */
function statOf(pid: number): string[] {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

/** The number of a signal's name. Throws `usage`. */
export function signalNumber(name: string): number {
  const number = Object.entries(constants.signals).find(([known]) => known === name)?.[1];
  if (number === undefined) throw new AppError('usage', `Cannot send "${name.slice(0, 20)}": there is no such signal`);
  return number;
}

/**
 * Sends a signal to the foreground of a session: the terminal's foreground group,
 * or the command's own group where there is no terminal. An ended command is a success.
 *
 * The group is not signalled by its number. A terminal keeps the number of a foreground group
 * that has ended, and the machine gives it to the next process that comes along: whoever waits
 * for that in a cell would have root signal a stranger. So its members are, of this session alone.
 */
export function signalForeground(cgroups: Cgroups, group: string, leader: number, name: string): void {
  const number = signalNumber(name);
  if (!cgroups.processes(group).includes(leader)) return;
  const { own, foreground } = groupsOfProcess(leader);
  const wanted = foreground > 0 ? foreground : own;
  signalMembers(cgroups, group, number, (pid) => groupsOfProcess(pid).own === wanted);
}

/** Sends a signal to every process of a session, newest first; a number that was given to another process meanwhile is not hit. */
export function signalGroup(cgroups: Cgroups, group: string, name: string): void {
  signalMembers(cgroups, group, signalNumber(name), () => true);
}

/** proc(5): field 5 is the process group, 8 the foreground group of the terminal, -1 without one. An ended process is in none. */
function groupsOfProcess(pid: number): { own: number; foreground: number } {
  try {
    const stat = statOf(pid);
    return { own: Number(stat[2]), foreground: Number(stat[5]) };
  } catch {
    return { own: 0, foreground: 0 };
  }
}

/** Descriptors that are held at once. */
const AT_ONCE = 256;

function signalMembers(cgroups: Cgroups, group: string, number: number, wanted: (pid: number) => boolean): void {
  const groups = [group, ...cgroups.children(group).map((child) => `${group}/${child}`)];
  for (const at of groups) {
    const pids = cgroups.processes(at).sort((a, b) => b - a);
    for (let from = 0; from < pids.length; from += AT_ONCE)
      signalSome(cgroups, at, pids.slice(from, from + AT_ONCE), (pid) => (wanted(pid) ? number : undefined));
  }
}

/** A descriptor stands for one process; that it is one of the group is asked after it was opened. */
function signalSome(
  cgroups: Cgroups,
  group: string,
  pids: readonly number[],
  signalFor: (pid: number) => number | undefined,
): void {
  const held = pids.map((pid) => ({ pid, pidfd: pidfdOpen(pid) }));
  const members = new Set(cgroups.processes(group));
  for (const { pid, pidfd } of held) {
    if (pidfd === undefined) continue;
    const number = members.has(pid) ? signalFor(pid) : undefined;
    if (number !== undefined) tryCall('syscall', SYS_PIDFD_SEND_SIGNAL, pidfd, number, 0, 0, 0, 0);
    closeFd(pidfd);
  }
}
