import { chmod, mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { OPERATIONS, type OperationName } from '../../src/contract/operations.ts';
import type { Operation } from '../../src/contract/operation.ts';
import { ROOT, run, waitFor, type Machine, type Person } from '../builders/machine.ts';

const SCRIPT = new URL('probes/ask.py', import.meta.url).pathname;

/** clone(2)'s numbers of the namespaces. */
const KIND = { mnt: 0x20000, ipc: 0x8000000, net: 0x40000000, pid: 0x20000000, user: 0x10000000 } as const;
type Namespace = keyof typeof KIND;

/** One request: method, path, body. */
export type Ask = readonly [method: string, path: string, body: unknown];

/** An operation, asked in the way that it answers. `more`: `code`, `plan`, or `upload`, a file for channel 0. */
export function ask(
  operation: OperationName,
  input: object,
  more: { code?: string; plan?: true; upload?: string; cut?: number } = {},
): Ask {
  const { answer } = OPERATIONS[operation] as unknown as Operation;
  const method = answer === 'stream' && more.plan !== true ? 'GET' : 'POST';
  return [method, `/v1/${operation}`, { input, ...more }];
}

/** Process 1 of a running cell, as the machine numbers it. */
export async function initOf(machine: Machine, cell: string): Promise<number> {
  const record = JSON.parse(await readFile(path.join(machine.paths.run, 'cells', cell, 'cell.json'), 'utf8')) as {
    pid: number;
  };
  return record.pid;
}

/**
 * Asks a socket as a process that is in some namespaces of one process and in others of another: positions that
 * nobody in a cell can reach, from which a single wall is left to be tried. In the order in which they are given.
 */
export async function askFrom(
  socket: string,
  asks: readonly Ask[],
  position: { in?: readonly (readonly [Namespace, number])[]; uid?: number } = {},
): Promise<string[]> {
  const answers = await asking(
    {
      socket,
      asks,
      enter: (position.in ?? []).map(([name, pid]) => [`/proc/${pid}/ns/${name}`, KIND[name]]),
      ...(position.uid === undefined ? {} : { uid: position.uid }),
    },
    (file) => run('/usr/bin/python3', [SCRIPT, file]),
  );
  return answers;
}

/** The same, for the person who has signed in at a terminal; what our own program would not send. */
export async function askAs(person: Person, machine: Machine, asks: readonly Ask[], timeout = 8): Promise<string[]> {
  const program = [
    await realpath(path.join(ROOT, '.tools/node')),
    path.join(ROOT, 'dist/bulkhead.cjs'),
    'audit',
    'tail',
  ];
  return asking({ socket: machine.paths.socket, asks, become: program, timeout }, async (file, out) => {
    const ran = await person.run(`/usr/bin/python3 ${SCRIPT} ${file}`);
    const stdout = await waitFor(
      () => readFile(out, 'utf8').catch(() => undefined),
      2000,
      () => ran.stderr,
    );
    return { ...ran, code: 0, stdout };
  });
}

async function asking(
  given: object,
  how: (file: string, out: string) => Promise<{ code: number; stdout: string; stderr: string }>,
): Promise<string[]> {
  const directory = await mkdtemp(path.join(os.tmpdir(), 'bulkhead-attack-'));
  const [file, out] = [path.join(directory, 'asks'), path.join(directory, 'out')];
  try {
    await chmod(directory, 0o777);
    await writeFile(file, JSON.stringify({ ...given, ...('become' in given ? { out } : {}) }));
    const ran = await how(file, out);
    if (ran.code !== 0) throw new Error(`asking failed: ${ran.stdout}${ran.stderr}`);
    return JSON.parse(ran.stdout) as string[];
  } finally {
    await rm(directory, { recursive: true });
  }
}

/** The body's error code, or `result` where there was none, in an HTTP answer. */
export function codeIn(answer: string): string {
  const last =
    answer
      .slice(answer.indexOf('\r\n\r\n') + 4)
      .trim()
      .split('\n')
      .findLast((line) => line.startsWith('{')) ?? '';
  try {
    const body = JSON.parse(last) as { error?: { code: string }; result?: unknown; plan?: unknown };
    return body.error?.code ?? ('result' in body || 'plan' in body ? 'result' : 'nothing');
  } catch {
    return answer.slice(0, 80);
  }
}
