import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { AppError } from '../../contract/errors.ts';
import type { CellProcess } from '../cells.ts';
import { closeFd, pidfdOpen, tryCall } from '../syscalls.ts';
import type { Cgroups } from './cgroups.ts';

const SYS_PIDFD_SEND_SIGNAL = 424;
/** Ticks of `starttime` a second, the same on every architecture that Node runs on (USER_HZ). */
const TICKS = 100;
const COMMAND_LIMIT = 4096;

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
export function listProcesses(cgroups: Cgroups, cell: string, idBase: number): CellProcess[] {
  const boot = Number(/^btime (\d+)$/m.exec(readFileSync('/proc/stat', 'utf8'))?.[1]) * 1000;
  return groupsOf(cgroups, cell)
    .flatMap(({ group, session }) => cgroups.processes(group).map((pid) => describe(pid, session, idBase, boot)))
    .filter((found) => found !== undefined)
    .sort((a, b) => a.started.getTime() - b.started.getTime() || a.hostPid - b.hostPid);
}

function describe(hostPid: number, session: string, idBase: number, boot: number): CellProcess | undefined {
  try {
    const status = readFileSync(`/proc/${hostPid}/status`, 'utf8');
    const field = (name: string): string[] =>
      new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(status)?.[1]?.split(/\s+/) ?? [];
    const command = readFileSync(`/proc/${hostPid}/cmdline`, 'utf8')
      .slice(0, COMMAND_LIMIT)
      .split('\0')
      .join(' ')
      .trim();
    return {
      pid: Number(field('NSpid').at(-1)),
      hostPid,
      user: Number(field('Uid')[1]) - idBase,
      session,
      started: new Date(boot + (Number(statOf(hostPid)[19]) * 1000) / TICKS),
      rss: Number(field('VmRSS')[0] ?? 0) * 1024,
      command: command === '' ? `[${field('Name').join(' ')}]` : command,
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
 */
export function signalForeground(cgroups: Cgroups, group: string, leader: number, name: string): void {
  const number = signalNumber(name);
  if (!cgroups.processes(group).includes(leader)) return;
  try {
    const stat = statOf(leader);
    // proc(5): field 5 is the process group, 8 the foreground group of the terminal, -1 without one.
    const foreground = Number(stat[5]);
    process.kill(-(foreground > 0 ? foreground : Number(stat[2])), number);
  } catch (error) {
    if (!['ESRCH', 'ENOENT'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}

/** Sends a signal to every process of a session, newest first; a number that was given to another process meanwhile is not hit. */
export function signalGroup(cgroups: Cgroups, group: string, name: string): void {
  const number = signalNumber(name);
  const groups = [group, ...cgroups.children(group).map((child) => `${group}/${child}`)];
  for (const at of groups)
    for (const pid of cgroups.processes(at).sort((a, b) => b - a)) signalOne(cgroups, at, pid, number);
}

function signalOne(cgroups: Cgroups, group: string, pid: number, number: number): void {
  const pidfd = pidfdOpen(pid);
  if (pidfd === undefined) return;
  // The descriptor stands for one process; that it is one of the group is asked after it was opened.
  if (cgroups.processes(group).includes(pid)) tryCall('syscall', SYS_PIDFD_SEND_SIGNAL, pidfd, number, 0, 0, 0, 0);
  closeFd(pidfd);
}
