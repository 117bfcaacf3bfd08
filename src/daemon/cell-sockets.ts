import { chmod, rm } from 'node:fs/promises';
import path from 'node:path';
import type { Id } from '../core/ids.ts';
import { makeCellDirectory } from '../host/directories.ts';
import type { Paths } from '../host/paths.ts';
import { socketDirectory } from './cell-spec.ts';

/** Opens and closes the one socket that a cell has. */
export interface CellSockets {
  open(cell: Id, idBase: number): Promise<void>;
  close(cell: Id): Promise<void>;
}

/** How a socket is served; the server's part. Returns its end. */
export type Listen = (file: string, channel: Channel) => Promise<() => Promise<void>>;

/** The socket that a request came through: what identity starts from. */
export type Channel = { channel: 'local' } | { channel: 'cell'; cell: Id; idBase: number };

/**
 * Every cell's socket lies in a directory of its own, which that cell alone sees,
 * read-only. The directory is mounted, not the socket: a daemon that starts again
 * makes a new socket in it, and the cell finds that one.
 */
export function createCellSockets(deps: { paths: Paths; listen: () => Listen }): CellSockets {
  const open = new Map<Id, () => Promise<void>>();
  return {
    async open(cell, idBase) {
      if (open.has(cell)) return;
      const directory = socketDirectory(deps.paths, cell);
      await makeCellDirectory(directory, idBase);
      const file = path.join(directory, 'cell.sock');
      await rm(file, { force: true });
      const end = await deps.listen()(file, { channel: 'cell', cell, idBase });
      open.set(cell, end);
      // Anyone in the cell may connect; nobody else can enter the directory.
      await chmod(file, 0o666);
    },
    async close(cell) {
      const end = open.get(cell);
      open.delete(cell);
      await end?.();
    },
  };
}
