import { realpath } from 'node:fs/promises';
import path from 'node:path';
import { AppError } from '../../contract/errors.ts';
import type { CellSpec } from '../cells.ts';
import type { Paths } from '../paths.ts';

/** Directories of a cell that an accepted path may not lie in, or cover. */
const TAKEN = [
  '/app',
  '/bin',
  '/dev',
  '/etc',
  '/home',
  '/lib',
  '/lib64',
  '/proc',
  '/root',
  '/run',
  '/sbin',
  '/sys',
  '/tmp',
  '/usr',
  '/var',
];

/**
 * The real directories behind the accepted paths. Throws `bad-file` for one that
 * is none, would cover a part of the cell, or would show our own state.
 */
export async function checkPaths(spec: CellSpec, paths: Paths): Promise<ReadonlyMap<string, string>> {
  const inside = (inner: string, outer: string): boolean =>
    inner === outer || inner.startsWith(outer.endsWith('/') ? outer : `${outer}/`);
  const entries = spec.paths.map(async (accepted): Promise<[string, string]> => {
    const refuse = (why: string) => new AppError('bad-file', `Cannot show "${accepted}" in a cell: ${why}`);
    if (path.resolve(accepted) !== accepted || accepted === '/') throw refuse('it is not an absolute path');
    if (TAKEN.some((taken) => inside(accepted, taken))) throw refuse('that place is the cell’s own');
    const source = await realpath(accepted).catch(() => undefined);
    if (source === undefined) throw refuse('there is no such directory on this machine');
    for (const own of [paths.state, paths.run])
      if (inside(own, source) || inside(source, own)) throw refuse('it holds the state of Bulkhead');
    return [accepted, source];
  });
  return new Map(await Promise.all(entries));
}
