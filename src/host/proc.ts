import { closeSync, openSync, readFileSync, readlinkSync, readSync } from 'node:fs';
import { open } from 'node:fs/promises';
import type { ObservedProcess } from '../core/recognise.ts';

/** What the kernel says of a process (proc_pid_stat(5)); nothing of it lies in the process's reach. */
export interface Numbers extends Pick<
  ObservedProcess,
  'pid' | 'ppid' | 'group' | 'session' | 'tty' | 'foreground' | 'started' | 'image' | 'comm'
> {
  zombie: boolean;
  /** Bytes of its environment. */
  environ: number;
}

/** A file that the kernel makes up from its own numbers: it waits for nothing, so it is read at once (10 µs). */
export function readKernel(pid: number, file: 'stat' | 'status'): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1');
  } catch {
    return undefined;
  }
}

/** Milliseconds for what a process keeps in its own memory. */
const MEMORY_DEADLINE = 200;

/**
 * What lies in a process's own memory, at most `limit` bytes: how long its arguments are, it says
 * itself, and may say terabytes (PR_SET_MM_MAP, prctl(2)); a read to the end would never end. The
 * kernel takes it from anonymous pages alone (since CVE-2018-1120; measured: a page of a FUSE file
 * gives nothing, at once), so it cannot be made to wait for a server of the process's own. The
 * deadline is for what is merely slow. Undefined: it could not be read, or not in time.
 */
export async function readMemory(pid: number, file: 'cmdline' | 'environ', limit: number): Promise<Buffer | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, MEMORY_DEADLINE, undefined);
  });
  const read = await Promise.race([readOnce(pid, file, limit), late]);
  clearTimeout(timer);
  return read;
}

/** The kernel gives as much as there is at once: a short read is the end (fs/proc/base.c). */
async function readOnce(pid: number, file: string, limit: number): Promise<Buffer | undefined> {
  const handle = await open(`/proc/${pid}/${file}`, 'r').catch(() => undefined);
  if (handle === undefined) return undefined;
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.allocUnsafe(limit), 0, limit, 0);
    return buffer.subarray(0, bytesRead);
  } catch {
    return undefined;
  } finally {
    await handle.close();
  }
}

const OWN_LIMIT = 16 << 10;

/** Arguments of a process that should be one of ours, at once; none where there is no such process. */
export function argumentsOfOurs(pid: number): string[] {
  try {
    const fd = openSync(`/proc/${pid}/cmdline`, 'r');
    try {
      const bytes = Buffer.alloc(OWN_LIMIT);
      return bytes.toString('utf8', 0, readSync(fd, bytes)).split('\0');
    } finally {
      closeSync(fd);
    }
  } catch {
    return [];
  }
}

/** The path of a program's file; null where the kernel names none. */
export function linkOf(pid: number): string | null {
  try {
    return readlinkSync(`/proc/${pid}/exe`);
  } catch {
    return null;
  }
}

/** A process's numbers; undefined where there is none. */
export const numbers = (pid: number): Numbers | undefined => parseStat(readKernel(pid, 'stat') ?? '');

/** The kernel's clock ticks in /proc: USER_HZ, 100 a second on every architecture that Debian has. */
const MS_PER_TICK = 10;

/** The fields of /proc/PID/stat that are of use (proc_pid_stat(5)); undefined when the text is none. */
export function parseStat(text: string): Numbers | undefined {
  const open = text.indexOf('(');
  // A name may hold parentheses and spaces: the last one ends it.
  const close = text.lastIndexOf(')');
  const fields = text
    .slice(close + 2)
    .trim()
    .split(' ');
  if (open < 0 || close < open || fields.length < 49) return undefined;
  // fields[0] is number 3 of the manual, the state.
  const number = (manual: number): number => Number(fields[manual - 3]);
  return {
    pid: Number(text.slice(0, open)),
    comm: text.slice(open + 1, close),
    zombie: /[ZXx]/.test(fields[0] ?? ''),
    ppid: number(4),
    group: number(5),
    session: number(6),
    tty: number(7),
    foreground: number(8),
    started: number(22) * MS_PER_TICK,
    // Start of the stack, of arguments, of environment: an exec draws them anew.
    image: [28, 48, 50].map((manual) => fields[manual - 3] ?? '').join(' '),
    environ: number(51) - number(50),
  };
}

/** True while nothing of it changed that can change: no exec, no other parent, group or session. */
export const sameAs = (a: Numbers, b: Numbers): boolean =>
  a.started === b.started && a.ppid === b.ppid && a.image === b.image && a.group === b.group && a.session === b.session;

export function pick(of: Numbers): Omit<Numbers, 'zombie' | 'environ'> {
  const { pid, ppid, group, session, tty, foreground, started, image, comm } = of;
  return { pid, ppid, group, session, tty, foreground, started, image, comm };
}

const line = (status: string, name: string): number[] =>
  new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(status)?.[1]?.trim().split(/\s+/).map(Number) ?? [];

/** Real, effective, saved and filesystem uid in /proc/PID/status. */
export const uidsOf = (status: string): number[] => line(status, 'Uid');

/** True in a pid namespace below the one that /proc was mounted in (NSpid has one number for each; proc_pid_status(5)). */
export const isNested = (status: string): boolean => line(status, 'NSpid').length !== 1;

const ARGV_WORDS = 16;
const WORD_LIMIT = 256;

const words = (bytes: Buffer | undefined): string[] =>
  bytes === undefined || bytes.length === 0 ? [] : bytes.toString('utf8').replace(/\0$/, '').split('\0');

/** The first arguments, cut. */
export const argumentsIn = (bytes: Buffer | undefined): string[] =>
  words(bytes)
    .slice(0, ARGV_WORDS)
    .map((word) => word.slice(0, WORD_LIMIT));

/** The variables that are kept, in their order; one that stands twice is there twice. */
export function variablesIn(bytes: Buffer | undefined, keep: (name: string) => boolean): [string, string][] {
  return words(bytes).flatMap((word): [string, string][] => {
    const at = word.indexOf('=');
    const name = word.slice(0, at);
    return at > 0 && keep(name) ? [[name, word.slice(at + 1, at + 1 + 4 * WORD_LIMIT)]] : [];
  });
}
