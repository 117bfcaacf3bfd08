import path from 'node:path';
import { type AppFile, parsePort } from '../contract/app-file.ts';
import { formatRef } from '../contract/names.ts';
import { limitsOf, type MachineSize } from '../core/room.ts';
import type { CellNetwork, CellSpec } from '../host/cells.ts';
import type { Paths } from '../host/paths.ts';
import type { VolumeRecord } from '../store/volumes.ts';

/** `shop`, `shop:fix`. */
export const refOf = (record: { app: string; tag: string | null }): string =>
  formatRef(record.tag === null ? { app: record.app } : { app: record.app, tag: record.tag });

/** What the cell calls itself: a ref may have 81 characters, a label 63 (sethostname(2) takes 64). */
const hostName = (ref: string): string => ref.replace(':', '-').slice(0, 63).replace(/-+$/, '');

export interface SpecInput {
  record: VolumeRecord;
  file: AppFile;
  hooks: Readonly<Record<string, string>>;
  idBase: number;
  source: string;
  machine: MachineSize;
  paths: Paths;
}

/** What a cell gets, from its record and its app's accepted file. */
export function cellSpec(input: SpecInput): CellSpec {
  const { record, file } = input;
  const role = record.kind === 'app' ? 'production' : 'fork';
  const ref = refOf(record);
  return {
    id: record.id,
    role,
    name: hostName(ref),
    source: input.source,
    idBase: input.idBase,
    limits: limitsOf(role, file, input.machine),
    network: networkOf(role, file),
    paths: file.paths,
    socketDir: socketDirectory(input.paths, record.id),
    hooks: input.hooks,
    environment: {
      BULKHEAD_REF: ref,
      BULKHEAD_ID: record.id,
      BULKHEAD_ROLE: role,
      BULKHEAD_PARENT: record.parentName ?? '',
    },
  };
}

/** The directory with a cell's own socket; bound read-only into that cell alone. */
export const socketDirectory = (paths: Paths, id: string): string => path.join(paths.run, 'sockets', id);

function networkOf(role: 'production' | 'fork', file: AppFile): CellNetwork {
  if (role === 'production') return { kind: 'out', ports: file.ports.map(parsePort) };
  return file.fork.egress === 'any' ? { kind: 'out', ports: [] } : { kind: 'none' };
}
