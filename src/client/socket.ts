import { existsSync } from 'node:fs';
import { AppError } from '../contract/errors.ts';

/** The socket inside a cell. It is there and nowhere else, so who finds it is in a cell. */
export const CELL_SOCKET = '/run/bulkhead/cell.sock';

const INSTANCE = /^[a-z0-9][a-z0-9-]{0,20}$/;

/**
 * The socket to ask: `BULKHEAD_SOCKET`, else the cell's own, else that of the instance
 * that `BULKHEAD_INSTANCE` names. The daemon's `host/paths.ts` has the same rule; a law
 * holds the two together. Throws `bad-name`.
 */
export function socketPath(
  env: Readonly<Record<string, string | undefined>>,
  exists: (path: string) => boolean = existsSync,
): string {
  const asked = env['BULKHEAD_SOCKET'] ?? '';
  if (asked !== '') return asked;
  if (exists(CELL_SOCKET)) return CELL_SOCKET;
  const instance = env['BULKHEAD_INSTANCE'] ?? '';
  if (instance !== '' && !INSTANCE.test(instance))
    throw new AppError(
      'bad-name',
      `Cannot use "${instance.slice(0, 40)}" as an instance: use 1 to 21 lower-case letters, digits and hyphens`,
    );
  return `/run/bulkhead${instance === '' ? '' : `-${instance}`}/public/bulkhead.sock`;
}
