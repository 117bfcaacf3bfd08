import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { run, type Machine } from '../builders/machine.ts';

const SCRIPT = new URL('probes/ask.py', import.meta.url).pathname;

/** clone(2)'s numbers of the namespaces. */
const KIND = { mnt: 0x20000, ipc: 0x8000000, net: 0x40000000, pid: 0x20000000, user: 0x10000000 } as const;
type Namespace = keyof typeof KIND;

/** One request: method, path, body. */
export type Ask = readonly [method: string, path: string, body: unknown];

export const post = (operation: string, input: object, more: object = {}): Ask => ['POST', `/v1/${operation}`, { input, ...more }];

/** Process 1 of a running cell, as the machine numbers it. */
export async function initOf(machine: Machine, cell: string): Promise<number> {
  const record = JSON.parse(await readFile(path.join(machine.paths.run, 'cells', cell, 'cell.json'), 'utf8')) as { pid: number };
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
  const given = {
    socket, asks,
    enter: (position.in ?? []).map(([name, pid]) => [`/proc/${pid}/ns/${name}`, KIND[name]]),
    ...(position.uid === undefined ? {} : { uid: position.uid }),
  };
  const ran = await run('/usr/bin/python3', [SCRIPT, JSON.stringify(given)]);
  if (ran.code !== 0) throw new Error(`asking failed: ${ran.stdout}${ran.stderr}`);
  return JSON.parse(ran.stdout) as string[];
}

/** The body's error code, or `result` where there was none, in an HTTP answer. */
export function codeIn(answer: string): string {
  const last = answer.slice(answer.indexOf('\r\n\r\n') + 4).trim().split('\n').findLast((line) => line.startsWith('{')) ?? '';
  try {
    const body = JSON.parse(last) as { error?: { code: string }; result?: unknown };
    return body.error?.code ?? ('result' in body ? 'result' : 'nothing');
  } catch {
    return answer.slice(0, 80);
  }
}
