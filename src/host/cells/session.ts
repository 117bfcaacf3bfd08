import { closeSync, constants, mkdirSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { PassThrough, Readable, Writable } from 'node:stream';
import { AppError } from '../../contract/errors.ts';
import type { Id } from '../../core/ids.ts';
import type { Session } from '../cells.ts';
import type { Attachment } from './attach.ts';
import type { Cgroups } from './cgroups.ts';
import { letGo } from './holder.ts';
import { emptied } from './lifecycle.ts';
import { signalForeground } from './processes.ts';
import { endSupervisor, supervisorOf } from './strays.ts';

/** What a session object is made from. */
export interface SessionInput {
  id: Id;
  directory: string;
  group: string;
  cgroups: Cgroups;
  /** Undefined: it has a log instead of streams, or has ended. */
  attachment: Attachment | undefined;
  exit: Promise<number>;
  /** Stops waiting for the exit code. */
  release: () => void;
  /** Called when this object is used no longer. */
  gone: (session: Session) => void;
}

/** Sizes beyond this are refused by the supervisor. */
const LARGEST_TERMINAL = 1000;
const RESIZE = 1;

/** A session as the port shows it. */
export function createSession(input: SessionInput): Session {
  const { id, directory, group, cgroups, attachment } = input;
  let over = false;
  const leave = (): void => {
    if (over) return;
    over = true;
    attachment?.close();
    input.release();
    input.gone(session);
  };
  const end = async (): Promise<void> => {
    // What is not read would keep the supervisor from ending.
    attachment?.close();
    await endProcesses(cgroups, group, directory);
    if (!over) await input.exit;
    leave();
    await removeSession(cgroups, group, directory);
  };
  const session: Session = {
    id,
    stdin: attachment?.stdin ?? nowhere(),
    stdout: attachment?.stdout ?? Readable.from([]),
    stderr: attachment?.stderr ?? Readable.from([]),
    exit: input.exit,
    resize: (rows, columns) => resize(directory, rows, columns),
    signal: async (name) => {
      signalForeground(cgroups, group, leaderOf(directory), name);
    },
    end,
    detach: leave,
  };
  return session;
}

/** Ends every process of a session and removes its files and group. Nothing left is a success. */
export async function endSession(cgroups: Cgroups, group: string, directory: string): Promise<void> {
  await endProcesses(cgroups, group, directory);
  await removeSession(cgroups, group, directory);
}

async function endProcesses(cgroups: Cgroups, group: string, directory: string): Promise<void> {
  if (cgroups.populated(group)) {
    cgroups.kill(group);
    await emptied(cgroups, group);
  }
  const supervisor = supervisorOf(directory);
  if (supervisor !== undefined) letGo(directory, supervisor);
  await endSupervisor(directory);
}

async function removeSession(cgroups: Cgroups, group: string, directory: string): Promise<void> {
  await Promise.all([rm(directory, { recursive: true, force: true }), cgroups.remove(group)]);
}

/** A session whose command could not be started: it says why, and ends as a shell's would. */
export function createFailedSession(id: Id, code: number, message: string): Session {
  const stderr = new PassThrough();
  stderr.end(`${message}\n`);
  return {
    id,
    stdin: nowhere(),
    stdout: Readable.from([]),
    stderr,
    exit: Promise.resolve(code),
    resize: () => {},
    signal: async () => {},
    end: async () => {},
    detach: () => {},
  };
}

/** The command's first process; 0, which is none, when its files are gone. */
function leaderOf(directory: string): number {
  try {
    return Number(readFileSync(path.join(directory, 'pid'), 'utf8'));
  } catch {
    return 0;
  }
}

const nowhere = (): Writable => new Writable({ write: (_chunk, _encoding, done) => done() });

/** Tells the supervisor a terminal's new size. Opened for both directions and without waiting, a FIFO never hangs. */
function resize(directory: string, rows: number, columns: number): void {
  const clamp = (value: number): number => Math.min(LARGEST_TERMINAL, Math.max(1, Math.trunc(value)));
  try {
    const fd = openSync(path.join(directory, 'ctl'), constants.O_RDWR | constants.O_NONBLOCK);
    try {
      writeSync(fd, `${RESIZE} ${clamp(rows)} ${clamp(columns)}\n`);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    // The session has ended, or so many sizes wait that one more makes no difference.
    if (!['ENOENT', 'EAGAIN'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}

/** Writes what the supervisor needs of a session into its directory. Throws `wrong-state` where its cell is gone. */
export function writeSessionFiles(directory: string, process: object): void {
  try {
    // Not its parents: they go with the cell, and must not come back after it.
    mkdirSync(directory, { mode: 0o700 });
  } catch (error) {
    throw new AppError('wrong-state', 'The cell is not running', { next: ['bulkhead up'], cause: error });
  }
  mkdirSync(path.join(directory, 'exit'), { mode: 0o700 });
  writeFileSync(path.join(directory, 'process.json'), JSON.stringify(process), { mode: 0o600 });
}
