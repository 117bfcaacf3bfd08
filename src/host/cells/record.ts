import { readFile, rename, writeFile } from 'node:fs/promises';
import type { Id } from '../../core/ids.ts';
import type { CellSpec } from '../cells.ts';
import type { Places } from './places.ts';

/**
 * What the next daemon needs to know of a cell. It is written before anything is
 * made and again when all of it stands, so a directory without `up` is the
 * rest of a start that was killed.
 */
export interface CellRecord {
  id: Id;
  state: 'making' | 'up';
  role: CellSpec['role'];
  idBase: number;
  cgroup: string;
  environment: CellSpec['environment'];
  paths: readonly string[];
  /** Process 1, as the machine sees it; 0 while it is made. */
  pid: number;
}

/** The record of a cell; undefined where there is none, or a half-written one. */
export async function readRecord(places: Places, cell: Id): Promise<CellRecord | undefined> {
  const text = await readFile(places.record(cell), 'utf8').catch(() => undefined);
  // Only this module writes the file, by rename, in a directory of root's.
  return text === undefined ? undefined : (JSON.parse(text) as CellRecord);
}

export async function writeRecord(places: Places, record: CellRecord): Promise<void> {
  const file = places.record(record.id);
  await writeFile(`${file}.new`, JSON.stringify(record), { mode: 0o600 });
  await rename(`${file}.new`, file);
}
