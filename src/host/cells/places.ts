import path from 'node:path';
import type { Id } from '../../core/ids.ts';
import type { Paths } from '../paths.ts';

/** Where cells keep what on the machine. All of it but the logs lies in one tmpfs, and goes with the boot. */
export interface Places {
  /** The tmpfs. Mode 0711: the runtime enters it as root of a cell, which is nobody outside. */
  root: string;
  /** Mode 0700. Holds the idmapped mount of an app for the moment in which its walls are made, and nothing else. */
  mounts: string;
  /** State of the runtime. */
  runtime: string;
  /** For files of a moment. */
  temporary: string;
  mount(cell: Id): string;
  cell(cell: Id): string;
  /** What was asked and how far it came: `CellRecord`. */
  record(cell: Id): string;
  sessions(cell: Id): string;
  session(cell: Id, session: Id): string;
  logs(cell: Id): string;
  log(cell: Id, session: Id): string;
}

/** The places of an instance. */
export function placesOf(paths: Paths): Places {
  const root = path.join(paths.run, 'cells');
  const cell = (id: Id) => path.join(root, id);
  return {
    root,
    mounts: path.join(root, '.mounts'),
    runtime: path.join(root, '.runtime'),
    temporary: path.join(root, '.tmp'),
    mount: (id) => path.join(root, '.mounts', id),
    cell,
    record: (id) => path.join(cell(id), 'cell.json'),
    sessions: (id) => path.join(cell(id), 'sessions'),
    session: (id, session) => path.join(cell(id), 'sessions', session),
    logs: (id) => path.join(paths.state, 'logs', id),
    log: (id, session) => path.join(paths.state, 'logs', id, session),
  };
}
