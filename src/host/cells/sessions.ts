import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { AppError } from '../../contract/errors.ts';
import { parseId, type Id } from '../../core/ids.ts';
import type { Session, SessionSpec } from '../cells.ts';
import { connectSupervisor, type Attacher, type Attachment } from './attach.ts';
import type { Cgroups } from './cgroups.ts';
import { awaitExit, writtenExit } from './exit-code.ts';
import { hold, takeBack } from './holder.ts';
import { keepLog, prepareLog } from './logs.ts';
import type { Places } from './places.ts';
import { sessionProcess } from './process.ts';
import type { CellRecord } from './record.ts';
import { createFailedSession, createSession, endSession, writeSessionFiles } from './session.ts';
import { supervised, supervisorOf } from './strays.ts';
import { supervise, type NotStarted, type Supervised } from './supervisor.ts';

/** What sessions need. */
export interface SessionsDeps {
  places: Places;
  cgroups: Cgroups;
  attacher: () => Attacher;
  /** The record of a cell that is up; throws where it is not. */
  running: (cell: Id) => Promise<CellRecord>;
  /** The group of a cell, whether it is up or not. */
  groupOf: (cell: Id) => string | undefined;
}

/** A session that runs longer gets a holder; most end sooner and need none. */
const HOLD_AFTER = 250;
/** Between looks whether a log was put away. */
const KEEP_EVERY = 5_000;
/** Marks a session that nobody comes back to. */
const HELPER = 'helper';

/** Opens, finds and ends sessions. */
export function createSessions(deps: SessionsDeps) {
  const { places, cgroups } = deps;
  const live = new Map<string, Session>();
  const opening = new Set<string>();
  const keyOf = (cell: Id, session: Id): string => `${cell}/${session}`;

  // Another one may have taken its place by then.
  const leave = (key: string, session: Session): void => {
    if (live.get(key) === session) live.delete(key);
  };

  const open = async (spec: SessionSpec, helper = false): Promise<Session> => {
    const key = keyOf(spec.cell, spec.id);
    if (opening.has(key)) throw new AppError('exists', 'There is such a session already');
    opening.add(key);
    try {
      return await prepare(spec, helper);
    } finally {
      opening.delete(key);
    }
  };

  const prepare = async (spec: SessionSpec, helper: boolean): Promise<Session> => {
    const record = await deps.running(spec.cell);
    checkCommand(spec);
    if (cgroups.frozen(record.cgroup))
      throw new AppError('wrong-state', 'The cell is frozen: nothing can be started in it now');
    if (spec.log > 0 && (spec.stdin || spec.terminal !== undefined))
      throw new AppError('usage', 'Cannot give input to a session that has a log');
    const group = path.join(record.cgroup, spec.id);
    const directory = places.session(spec.cell, spec.id);
    if (cgroups.populated(group)) throw new AppError('exists', 'There is such a session already');
    // What an ended one of the same id has left.
    if (existsSync(directory)) await endSession(cgroups, group, directory);
    cgroups.makeIn(record.cgroup, spec.id);
    writeSessionFiles(directory, sessionProcess(spec, record));
    if (helper) writeFileSync(path.join(directory, HELPER), '');
    try {
      return await begin(spec, group, directory);
    } catch (error) {
      await endSession(cgroups, group, directory);
      throw error;
    }
  };

  const begin = async (spec: SessionSpec, group: string, directory: string): Promise<Session> => {
    const log = spec.log === 0 ? undefined : { file: places.log(spec.cell, spec.id), bytes: Math.ceil(spec.log / 2) };
    if (log !== undefined) prepareLog(log.file);
    let attachment: Attachment | undefined;
    const result = await supervise({
      directory,
      cell: spec.cell,
      runtime: places.runtime,
      temporary: places.temporary,
      stdin: spec.stdin || spec.terminal !== undefined,
      terminal: spec.terminal !== undefined,
      ...(log === undefined ? {} : { log }),
      connect: () => {
        attachment = deps.attacher().attach(connectSupervisor(directory));
        writeFileSync(path.join(directory, 'attached'), '');
      },
    });
    if (!result.started) {
      attachment?.close();
      await endSession(cgroups, group, directory);
      return failed(spec, result);
    }
    return register(spec, group, result, attachment);
  };

  const register = (
    spec: SessionSpec,
    group: string,
    command: Supervised,
    attachment: Attachment | undefined,
  ): Session => {
    const key = keyOf(spec.cell, spec.id);
    const directory = places.session(spec.cell, spec.id);
    const timer =
      attachment === undefined
        ? setInterval(() => keepLog(places.log(spec.cell, spec.id)), KEEP_EVERY)
        : setTimeout(() => holdOn(directory, attachment), HOLD_AFTER);
    timer.unref();
    const exit = command.exit.then((code) => {
      clearTimeout(timer);
      return code ?? writtenExit(directory) ?? 137;
    });
    const release = (): void => {
      clearTimeout(timer);
      command.release();
    };
    const session = createSession({
      id: spec.id,
      directory,
      group,
      cgroups,
      attachment,
      exit,
      release,
      gone: (session) => leave(key, session),
    });
    live.set(key, session);
    return session;
  };

  const find = async (cell: Id, id: Id): Promise<Session | undefined> => {
    const key = keyOf(cell, id);
    const known = live.get(key);
    if (known !== undefined) return known;
    const cellGroup = deps.groupOf(cell);
    const directory = places.session(cell, id);
    if (cellGroup === undefined || !existsSync(path.join(directory, 'exit'))) return undefined;
    const stop = new AbortController();
    const session = createSession({
      id,
      directory,
      cgroups,
      group: path.join(cellGroup, id),
      attachment: adopt(directory),
      exit: awaitExit(directory, stop.signal),
      release: () => stop.abort(),
      gone: (session) => leave(key, session),
    });
    live.set(key, session);
    return session;
  };

  /** The streams of a session that an earlier daemon has opened. */
  const adopt = (directory: string): Attachment | undefined => {
    const supervisor = supervisorOf(directory);
    if (supervisor === undefined || !supervised(directory) || !existsSync(path.join(directory, 'attached')))
      return undefined;
    try {
      return deps.attacher().attach(takeBack(directory, supervisor) ?? connectSupervisor(directory));
    } catch {
      // It has ended in this moment; its exit code is there, or will be.
      return undefined;
    }
  };

  return {
    open,
    find,
    /** Ends helpers that an earlier daemon has left: nobody waits for them. */
    endHelpers: async (cell: Id): Promise<void> => {
      const group = deps.groupOf(cell);
      const left = readDirectory(places.sessions(cell)).filter((name) => !live.has(`${cell}/${name}`));
      for (const directory of left.map((name) => path.join(places.sessions(cell), name)))
        if (group !== undefined && existsSync(path.join(directory, HELPER)))
          await endSession(cgroups, path.join(group, path.basename(directory)), directory);
    },
    /** Lets go of a stopped cell's sessions, once their exit codes are known. */
    forget: (cell: Id): void => {
      for (const [key, session] of live) if (key.startsWith(`${cell}/`)) void session.exit.then(() => session.detach());
    },
    list: (cell: Id): Id[] =>
      readDirectory(places.sessions(cell))
        .map(parseId)
        .filter((id) => id !== undefined),
  };
}

function holdOn(directory: string, attachment: Attachment): void {
  const fd = attachment.fd();
  const supervisor = supervisorOf(directory);
  if (fd !== undefined && supervisor !== undefined && supervised(directory))
    void hold(directory, fd, supervisor).catch(() => {});
}

function readDirectory(directory: string): string[] {
  return existsSync(directory) ? readdirSync(directory) : [];
}

function checkCommand({ command, directory }: SessionSpec): void {
  if (command.length === 0 || command[0] === '') throw new AppError('usage', 'There is no command to run');
  if ([...command, directory ?? ''].some((word) => word.includes('\0')))
    throw new AppError('usage', 'A command cannot contain a zero byte');
}

/** As a shell says it: 127 where there is no such command, 126 where it cannot be run. */
function failed(spec: SessionSpec, { message }: NotStarted): Session {
  const [command = ''] = spec.command;
  if (/executable file not found|no such file or directory/.test(message))
    return createFailedSession(spec.id, 127, `bulkhead: ${command}: command not found`);
  if (/permission denied|exec format error|is a directory/.test(message))
    return createFailedSession(spec.id, 126, `bulkhead: ${command}: cannot be run`);
  if (message.includes('argument list too long'))
    throw new AppError('too-large', 'The command is longer than the kernel takes: one argument may have 128 KiB');
  throw new AppError('failed', 'The session could not be started', { why: message.slice(0, 500) });
}
