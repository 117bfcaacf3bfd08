import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdir, rename, stat } from 'node:fs/promises';
import path from 'node:path';
import { after, test } from 'node:test';
import type { Id } from '../../core/ids.ts';
import type { VolumePlace } from '../../core/places.ts';
import { exec } from '../exec.ts';
import type { Volumes } from '../volumes.ts';
import { scratchPool } from './scratch.ts';

/**
 * What a call has answered is there after a power cut. After each call the pool's file is copied
 * as it lies on the disk, without an unmount; each of these copies is then mounted and looked at.
 */
const MIB = 1 << 20;
const scratch = scratchPool('cut');
const newId = (): Id => randomUUID() as Id;
const [app, base, fork, key] = [newId(), newId(), newId(), newId()];
const live = (id: Id): VolumePlace => ({ area: 'live', id });
const frozen: VolumePlace & { area: 'base' } = { area: 'base', id: base };

after(() => scratch.remove());

/** True while `id` can write `mib`. */
async function canWrite(volumes: Volumes, id: Id, mib: number): Promise<boolean> {
  const args = ['if=/dev/zero', 'of=file', 'bs=1M', `count=${mib}`, 'conv=fsync'];
  const { code } = await exec('dd', args, { cwd: volumes.mountSource(id), accept: [0, 1] });
  return code === 0;
}

interface Step {
  name: string;
  call: (volumes: Volumes) => Promise<void>;
  there: (volumes: Volumes) => Promise<boolean>;
}

const STEPS: readonly Step[] = [
  {
    name: 'create',
    call: (volumes) => volumes.create(app),
    there: async (volumes) => (await stat(volumes.mountSource(app))).uid === 1000,
  },
  {
    name: 'freeze',
    call: (volumes) => volumes.freeze(live(app), frozen),
    there: (volumes) => volumes.has(frozen),
  },
  {
    name: 'copy, with its cap',
    call: (volumes) => volumes.copy(frozen, fork, 16 * MIB),
    there: async (volumes) => (await canWrite(volumes, fork, 8)) && !(await canWrite(volumes, fork, 24)),
  },
  {
    name: 'a raised cap',
    call: (volumes) => volumes.cap(fork, 32 * MIB),
    there: async (volumes) => (await canWrite(volumes, fork, 24)) && !(await canWrite(volumes, fork, 40)),
  },
  {
    name: 'a manifest',
    call: (volumes) => volumes.writeManifest(fork, 'kept'),
    there: async (volumes) => (await volumes.readManifest(fork)) === 'kept',
  },
  {
    name: 'to the trash',
    call: (volumes) => volumes.toTrash(fork, key),
    there: async (volumes) => !(await volumes.has(live(fork))) && (await volumes.has({ area: 'trash', id: key })),
  },
  {
    name: 'no manifest',
    call: (volumes) => volumes.removeManifest(fork),
    there: async (volumes) => (await volumes.readManifest(fork)) === undefined,
  },
  {
    name: 'purge',
    call: (volumes) => volumes.purge(frozen),
    there: async (volumes) => !(await volumes.has(frozen)),
  },
];

test('after a power cut', async (t) => {
  const before = scratchPool('before');
  const image = (step: Step): string => path.join(scratch.paths.state, step.name.replaceAll(' ', '-'));
  try {
    await mkdir(scratch.paths.pool, { recursive: true });
    await before.volumes.make({ size: 256 * MIB }, () => {});
    for (const step of STEPS) {
      await step.call(before.volumes);
      await exec('cp', [before.paths.poolFile, image(step)]);
    }
  } finally {
    // First: two filesystems of one number cannot be mounted at once.
    await before.remove();
  }
  for (const step of STEPS)
    await t.test(step.name, async () => {
      await rename(image(step), scratch.paths.poolFile);
      try {
        assert.equal(await scratch.volumes.open(), true);
        assert.equal(await step.there(scratch.volumes), true);
      } finally {
        await scratch.volumes.close();
      }
    });
});
