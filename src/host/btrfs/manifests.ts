import { open, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import type { Id } from '../../core/ids.ts';
import type { Volumes } from '../volumes.ts';
import { missing, mounted, type Context } from './context.ts';
import { syncDirectory } from './mounts.ts';

type Manifests = Pick<Volumes, 'writeManifest' | 'readManifest' | 'removeManifest'>;

/** The text kept beside a volume: whole or not at all, and durable when the call returns. */
export function createManifests(context: Context): Manifests {
  const directory = path.join(context.paths.pool, 'manifest');
  const file = (id: Id): string => {
    mounted(context);
    return path.join(directory, `${id}.json`);
  };
  return {
    writeManifest: async (id, text) => {
      const target = file(id);
      const handle = await open(`${target}.new`, 'w', 0o600);
      try {
        await handle.writeFile(text);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(`${target}.new`, target);
      await syncDirectory(directory);
    },
    readManifest: async (id) =>
      readFile(file(id), 'utf8').catch((error: unknown) => {
        if (missing(error)) return undefined;
        throw error;
      }),
    removeManifest: async (id) => {
      await rm(file(id), { force: true });
      await syncDirectory(directory);
    },
  };
}
