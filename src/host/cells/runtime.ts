import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { AppError } from '../../contract/errors.ts';
import { program, start } from '../exec.ts';

const DEADLINE = 30_000;

/**
 * Runs the runtime to its end; `before`: a program that runs it in turn, with its options. Its output goes nowhere: process 1 of a cell keeps
 * what `create` was given, so a pipe would never close. Errors come from its log.
 */
export async function runtime(
  root: string,
  log: string,
  args: readonly string[],
  before: readonly string[] = [],
): Promise<void> {
  const [name = 'runc', ...words] = [
    ...before,
    ...(before.length === 0 ? ['runc'] : [await program('runc')]),
    '--root',
    root,
    '--log',
    log,
    '--log-format',
    'json',
    ...args,
  ];
  const child = await start(name, words, { stdio: 'ignore' });
  const timer = setTimeout(() => child.kill('SIGKILL'), DEADLINE);
  const [code]: unknown[] = await once(child, 'exit').finally(() => clearTimeout(timer));
  if (code === 0) return;
  throw new AppError('failed', `The runtime could not ${args[0]} the cell`, { why: await lastError(log) });
}

/** The last message of the runtime's log. */
async function lastError(log: string): Promise<string> {
  const text = await readFile(log, 'utf8').catch(() => '');
  const last = text.trim().split('\n').at(-1) ?? '';
  try {
    const { msg }: { msg?: unknown } = JSON.parse(last);
    return String(msg);
  } catch {
    return last === '' ? 'it left no message' : last;
  }
}

/** The log of the runtime, in a cell's bundle. */
export const runtimeLog = (bundle: string): string => path.join(bundle, 'runtime.log');
