import { after } from 'node:test';
import { open, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { placeName, type VolumePlace } from '../../core/places.ts';
import { exec } from '../exec.ts';
import { volumesSuite, type VolumesHarness } from '../volumes.suite.ts';
import { scratchPool } from './scratch.ts';
import { createBtrfsVolumes } from './volumes.ts';

const scratch = scratchPool('suite');
const { paths, volumes } = scratch;
const fileOf = (at: VolumePlace, file: string): string => path.join(paths.pool, placeName(at), file);

const harness: VolumesHarness = {
  volumes,
  again: () => createBtrfsVolumes({ paths }),
  write: async (at, file, content) => {
    const handle = await open(fileOf(at, file), 'w');
    try {
      await handle.writeFile(content);
      await handle.sync();
    } catch (error) {
      await rm(fileOf(at, file));
      throw error;
    } finally {
      await handle.close();
    }
  },
  read: (at, file) =>
    readFile(fileOf(at, file)).then(
      (content) => new Uint8Array(content),
      () => undefined,
    ),
  settle: async () => void (await exec('sync', ['--file-system', paths.pool])),
};

after(() => scratch.remove());
volumesSuite('btrfs', () => harness);
