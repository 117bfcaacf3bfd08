import { readFileSync } from 'node:fs';
import { AppError } from '../../contract/errors.ts';
import type { SessionSpec } from '../cells.ts';

/** The user that sessions run as, inside a cell. */
export const AGENT = { uid: 1000, gid: 1000, home: '/home/agent' } as const;
/** Group whose members may talk to an engine of the cell. */
export const DOCKER_GID = 999;

/** What unpacking needs: to give files their owners and modes. Nothing that reaches beyond files. */
const UNPACKING = ['CAP_CHOWN', 'CAP_DAC_OVERRIDE', 'CAP_FOWNER', 'CAP_FSETID'] as const;

/** `process` of the OCI runtime specification, as far as it is used here. */
export interface OciProcess {
  terminal: boolean;
  consoleSize?: { height: number; width: number };
  user: { uid: number; gid: number; additionalGids?: number[] };
  args: readonly string[];
  env: string[];
  cwd: string;
  capabilities: Record<'bounding' | 'effective' | 'permitted' | 'inheritable' | 'ambient', readonly string[]>;
  rlimits: { type: string; hard: number; soft: number }[];
  noNewPrivileges: true;
  oomScoreAdj: number;
}

/** What a session sees of the cell that it runs in. */
export interface ProcessContext {
  role: 'production' | 'fork';
  /** `BULKHEAD_REF` and so on. */
  environment: Readonly<Record<string, string>>;
  /** Accepted directories; their `bin` is on the path. */
  paths: readonly string[];
}

/**
 * Where the whole machine runs out of memory, forks go before production.
 * Only raised, never lowered: that needs no privilege.
 */
const OOM_SCORE = { production: 0, fork: 500 } as const;

/** All five sets: `--user` alone would keep the bounding and the inheritable one. */
function capabilities(names: readonly string[]): OciProcess['capabilities'] {
  return { bounding: names, effective: names, permitted: names, inheritable: [], ambient: [] };
}

/**
 * A core of 1 byte means "none", also where the machine pipes cores to a program
 * of its own, which would run as the machine's root (core(5), do_coredump in the
 * kernel: the limit 1 is special, 0 is not). Left out where the limit is 0 already.
 */
function rlimits(): OciProcess['rlimits'] {
  const line = readFileSync('/proc/self/limits', 'utf8').match(/^Max core file size +(\S+) +(\S+)/m);
  return line?.[2] === '0' ? [] : [{ type: 'RLIMIT_CORE', hard: 1, soft: 1 }];
}

const pathVariable = (paths: readonly string[]): string =>
  [
    '/opt/bulkhead/bin',
    ...paths.map((path) => `${path}/bin`),
    '/usr/local/sbin',
    '/usr/local/bin',
    '/usr/sbin',
    '/usr/bin',
    '/sbin',
    '/bin',
  ].join(':');

function environment(spec: SessionSpec, context: ProcessContext): string[] {
  const agent = spec.user === 'agent';
  const variables: Record<string, string> = {
    PATH: pathVariable(context.paths),
    HOME: agent ? AGENT.home : '/root',
    USER: agent ? 'agent' : 'root',
    LOGNAME: agent ? 'agent' : 'root',
    SHELL: '/bin/bash',
    LANG: 'C.UTF-8',
    ...(agent ? { XDG_RUNTIME_DIR: `/run/user/${AGENT.uid}` } : {}),
    ...(spec.terminal === undefined ? {} : { TERM: 'xterm-256color' }),
    ...context.environment,
    ...spec.environment,
  };
  return Object.entries(variables).map(([name, value]) => `${name}=${value}`);
}

/** Where sessions begin. */
const HOME_DIRECTORY = '/app';

/**
 * The runtime itself is never sent to a directory that a session names: by
 * `/proc/self/fd/N`, also behind a link, it led out of the walls (CVE-2024-21626).
 * Within them `env` goes there; it ends with 125 where there is no such directory.
 */
function inDirectory({ command, directory }: SessionSpec): readonly string[] {
  if (directory === undefined || directory === HOME_DIRECTORY) return command;
  if (command[0]?.includes('='))
    throw new AppError('usage', 'Cannot run a command with "=" in its name in another directory');
  return ['/usr/bin/env', `--chdir=${directory}`, '--', ...command];
}

/** The process of a session. */
export function sessionProcess(spec: SessionSpec, context: ProcessContext): OciProcess {
  const agent = spec.user === 'agent';
  const size = spec.terminal;
  return {
    terminal: size !== undefined,
    ...(size === undefined ? {} : { consoleSize: { height: size.rows, width: size.columns } }),
    user: agent ? { uid: AGENT.uid, gid: AGENT.gid, additionalGids: [DOCKER_GID] } : { uid: 0, gid: 0 },
    args: inDirectory(spec),
    env: environment(spec, context),
    cwd: HOME_DIRECTORY,
    capabilities: capabilities(agent ? [] : UNPACKING),
    rlimits: rlimits(),
    noNewPrivileges: true,
    oomScoreAdj: OOM_SCORE[context.role],
  };
}

/** Process 1: reaps what is orphaned, never ends, and can do nothing else. */
export function initProcess(role: 'production' | 'fork'): OciProcess {
  return {
    terminal: false,
    user: { uid: 0, gid: 0 },
    args: ['/usr/bin/catatonit', '-P'],
    env: ['PATH=/usr/bin'],
    cwd: '/',
    capabilities: capabilities([]),
    rlimits: rlimits(),
    noNewPrivileges: true,
    oomScoreAdj: OOM_SCORE[role],
  };
}
