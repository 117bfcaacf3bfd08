import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import type { Paths } from './paths.ts';

/** A directory that others may enter, with its parents. */
export async function makeOpenDirectory(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o755 });
}

/** Removes a directory of ours with all in it. Refuses what does not lie in the run directory. */
export async function removeDirectory(paths: Paths, directory: string): Promise<void> {
  if (!path.resolve(directory).startsWith(`${paths.run}/`)) throw new Error(`"${directory}" is not in ${paths.run}`);
  await rm(directory, { recursive: true, force: true });
}
