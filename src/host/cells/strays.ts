import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { argumentsOfOurs, readMemory } from '../proc.ts';

const WAIT = 2_000;
const PAUSE = 5;
const COMMAND_LIMIT = 16 << 10;

const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, PAUSE));

/** Waits until a process that matches is gone; ends it when it takes too long. */
async function outlive(pid: number, matches: (command: string[]) => boolean): Promise<void> {
  const until = performance.now() + WAIT;
  while (matches(argumentsOfOurs(pid))) {
    if (performance.now() > until) kill(pid);
    await pause();
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}

/**
 * Ends what a killed daemon left of a start: the runtime goes on alone and would
 * make the walls while we take them away. Only in this rare case is all of /proc read.
 */
export async function endStrays(runtime: string, cell: string): Promise<void> {
  const isOurs = (command: string[]): boolean => command.includes(runtime) && command.includes(cell);
  const pids: number[] = [];
  for (const pid of readdirSync('/proc').map(Number)) {
    const bytes = pid > 0 ? await readMemory(pid, 'cmdline', COMMAND_LIMIT) : undefined;
    if (bytes !== undefined && isOurs(bytes.toString('utf8').split('\0'))) pids.push(pid);
  }
  pids.forEach(kill);
  for (const pid of pids) await outlive(pid, isOurs);
}

/** Waits for the supervisors of a cell's sessions, which end by themselves once their processes have. */
export async function endSupervisors(sessions: string): Promise<void> {
  if (!existsSync(sessions)) return;
  await Promise.all(readdirSync(sessions).map((name) => endSupervisor(path.join(sessions, name))));
}

/** The same for one session's directory. */
export async function endSupervisor(session: string): Promise<void> {
  const pid = supervisorOf(session);
  if (pid !== undefined) await outlive(pid, (command) => isSupervisor(command, session));
}

const isSupervisor = (command: string[], session: string): boolean => command.includes(`--bundle=${session}`);

/** The process that supervises the session of a directory, as it wrote it down. */
export function supervisorOf(session: string): number | undefined {
  try {
    return Number(readFileSync(path.join(session, 'supervisor'), 'utf8')) || undefined;
  } catch {
    return undefined;
  }
}

/** True while the supervisor of a session's directory runs. */
export function supervised(session: string): boolean {
  const pid = supervisorOf(session);
  return pid !== undefined && isSupervisor(argumentsOfOurs(pid), session);
}
