import { rm } from 'node:fs/promises';
import { AppError } from '../../contract/errors.ts';
import { exec } from '../exec.ts';
import { pathsOf, type Paths } from '../paths.ts';
import type { Volumes } from '../volumes.ts';
import { detach } from './backing.ts';
import { mountedAt } from './mounts.ts';
import { createBtrfsVolumes } from './volumes.ts';

/** A pool that a test or a bench makes for itself. */
export interface ScratchPool {
  paths: Paths;
  /** Not made yet. */
  volumes: Volumes;
  /** Takes everything away again, whatever state it is in. */
  remove: () => Promise<void>;
}

/** An instance of its own, numbered by this process, so that several run beside each other. */
export function scratchPool(purpose: string): ScratchPool {
  const paths = pathsOf(`${purpose}-${process.pid}`);
  const volumes = createBtrfsVolumes({ paths });
  return {
    paths,
    volumes,
    remove: async () => {
      // Whoever else on this machine holds it: the kernel lets go of the loop device after them.
      await volumes.close().catch((error: unknown) => {
        if (!(error instanceof AppError && error.code === 'busy')) throw error;
      });
      while ((await mountedAt(paths.pool)) !== undefined) await exec('umount', [paths.pool]);
      for (const file of [paths.poolFile, `${paths.poolFile}.making`]) await detach(file);
      await rm(paths.state, { recursive: true, force: true });
    },
  };
}
