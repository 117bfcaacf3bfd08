import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { start } from '../exec.ts';
import { argumentsOfOurs, readKernel, uidsOf } from '../proc.ts';
import { closeFd, pidfdOpen, tryCall } from '../syscalls.ts';

/**
 * A session's connection outlives the daemon in a process that does nothing but
 * have it open: so its input does not end, and what it writes meanwhile waits in
 * the socket instead of being lost. The next daemon takes the descriptor back.
 * The holder ends with the session's supervisor.
 */

const SYS_PIDFD_GETFD = 438;
/** Place of the connection in the holder. */
const HELD = 3;

const fileOf = (directory: string): string => path.join(directory, 'holder');

/** Gives a connection to a holder. Without one a session still runs; so a failure is not told. */
export async function hold(directory: string, fd: number, supervisor: number): Promise<void> {
  const args = [`--pid=${supervisor}`, '--follow', '/dev/null'];
  const child = await start('tail', args, { stdio: ['ignore', 'ignore', 'ignore', fd], detached: true });
  child.on('error', () => {});
  child.unref();
  if (child.pid !== undefined) writeFileSync(fileOf(directory), `${child.pid}`, { mode: 0o600 });
}

/** The connection of a session as a descriptor of ours; undefined where nothing holds one (pidfd_getfd(2), Linux 5.6). */
export function takeBack(directory: string, supervisor: number): number | undefined {
  const holder = readNumber(fileOf(directory));
  const pidfd = holder === undefined ? undefined : pidfdOpen(holder);
  if (pidfd === undefined) return undefined;
  try {
    // The number may be another process's by now, and what an argument says, anybody can say.
    if (holder === undefined || !isHolder(holder, supervisor)) return undefined;
    const fd = tryCall('syscall', SYS_PIDFD_GETFD, pidfd, HELD, 0, 0, 0, 0);
    return fd < 0 ? undefined : fd;
  } finally {
    closeFd(pidfd);
  }
}

/** Ends the holder of a session. */
export function letGo(directory: string, supervisor: number): void {
  const holder = readNumber(fileOf(directory));
  try {
    if (holder !== undefined && isHolder(holder, supervisor)) process.kill(holder, 'SIGKILL');
  } catch {
    // It ended with the supervisor.
  }
}

/** Root's own, with the arguments that it was started with. */
const isHolder = (pid: number, supervisor: number): boolean =>
  uidsOf(readKernel(pid, 'status') ?? '').every((uid) => uid === 0) &&
  argumentsOfOurs(pid).includes(`--pid=${supervisor}`);

function readNumber(file: string): number | undefined {
  try {
    return Number(readFileSync(file, 'utf8')) || undefined;
  } catch {
    return undefined;
  }
}
