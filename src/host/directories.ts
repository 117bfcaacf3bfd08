import { chmod, chown, mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { AGENT } from './cells/process.ts';
import type { Paths } from './paths.ts';

/**
 * A directory that the cell with these ids may enter and read, and nobody of the machine but root:
 * its name is no secret, it stands in the arguments of the cell's supervisors. It stays root's, since
 * root of a cell may mount it anew, writable: its capabilities hold over what its own ids own, no more.
 */
export async function makeCellDirectory(directory: string, idBase: number): Promise<void> {
  await mkdir(path.dirname(directory), { recursive: true, mode: 0o711 });
  await mkdir(directory, { recursive: true, mode: 0o700 });
  // Who is not root (a test whose cells are in memory) cannot give anything away.
  if (process.getuid?.() === 0) await chown(directory, 0, idBase + AGENT.gid);
  await chmod(directory, process.getuid?.() === 0 ? 0o750 : 0o700);
}

/** Removes a directory of ours with all in it. Refuses what does not lie in the run directory. */
export async function removeDirectory(paths: Paths, directory: string): Promise<void> {
  if (!path.resolve(directory).startsWith(`${paths.run}/`)) throw new Error(`"${directory}" is not in ${paths.run}`);
  await rm(directory, { recursive: true, force: true });
}
