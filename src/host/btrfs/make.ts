import { randomUUID } from 'node:crypto';
import { chmod, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { AppError } from '../../contract/errors.ts';
import { exec, program } from '../exec.ts';
import type { Paths } from '../paths.ts';
import type { MakePool } from '../volumes.ts';
import { attach, detach, preallocate } from './backing.ts';
import { mountPool, syncDirectory, unmountPool } from './mounts.ts';

export interface BuildSpec {
  paths: Paths;
  options: MakePool;
  progress: (label: string, ms: number) => void;
  /** Fills the mounted, empty filesystem: quotas, directories. */
  furnish: (root: string) => Promise<void>;
}

/**
 * A pool exists from the moment that its file, or the record of its device, has its final
 * name. What a kill leaves before that is taken away here, and made anew.
 */
export async function buildPool(spec: BuildSpec): Promise<void> {
  const { paths, options, progress, furnish } = spec;
  for (const tool of ['mkfs.btrfs', 'losetup', 'mount', 'umount']) await program(tool);
  const timed = async <T>(label: string, work: () => Promise<T>): Promise<T> => {
    const started = performance.now();
    const result = await work();
    progress(label, performance.now() - started);
    return result;
  };
  await mkdir(paths.pool, { recursive: true, mode: 0o700 });
  await chmod(paths.state, 0o700);
  await unmountPool(paths.pool);
  const built =
    options.device === undefined
      ? await inFile(paths, options.size, timed)
      : await onDevice(paths, options.device, timed);
  await timed('mount', async () => {
    // Programs that a killed maker had started go on without it, and may have mounted meanwhile.
    await unmountPool(paths.pool);
    await mountPool(built.device, paths.pool);
    await furnish(paths.pool);
    await rename(built.making, built.final);
    await syncDirectory(paths.state);
    await detach(built.making);
  });
}

type Timed = <T>(label: string, work: () => Promise<T>) => Promise<T>;

interface Built {
  device: string;
  making: string;
  final: string;
}

async function inFile(paths: Paths, size: number, timed: Timed): Promise<Built> {
  const making = `${paths.poolFile}.making`;
  await detach(making);
  await rm(making, { force: true });
  await timed('reserve disk', () => preallocate(making, size));
  const device = await timed('filesystem', async () => {
    const loop = await attach(making);
    await exec('mkfs.btrfs', [...MKFS, '--force', loop], { deadline: 300_000 });
    return loop;
  });
  return { device, making, final: paths.poolFile };
}

/** `-K`: a discard would punch the preallocated file empty. */
const MKFS = ['--quiet', '--nodiscard', '--label', 'bulkhead'] as const;

async function onDevice(paths: Paths, device: string, timed: Timed): Promise<Built> {
  const kind = await stat(device).catch(() => undefined);
  if (!kind?.isBlockDevice())
    throw new AppError('usage', `Cannot make a pool on "${device}": it is not a block device`, { next: ['lsblk'] });
  const final = recordOf(paths);
  const making = `${final}.making`;
  // Only what an earlier try of ours left may be overwritten; mkfs refuses any other content.
  const begun = await readFile(making, 'utf8').then(
    (text) => text.split('\n')[0] === device,
    () => false,
  );
  const uuid = randomUUID();
  await timed('filesystem', async () => {
    if (!begun) await refuseContent(device);
    await writeFile(making, `${device}\n${uuid}\n`, { mode: 0o600, flush: true });
    await exec('mkfs.btrfs', [...MKFS, '--force', '--uuid', uuid, device], { deadline: 300_000 });
  });
  return { device, making, final };
}

/** `blkid` answers 2 when it recognises nothing on a device. */
async function refuseContent(device: string): Promise<void> {
  const { code, stdout } = await exec('blkid', ['--probe', device], { accept: [0, 2, 8] });
  if (code === 2) return;
  throw new AppError('exists', `Cannot make a pool on "${device}": something is on it`, {
    why: stdout.trim().slice(0, 200),
    next: [`wipefs ${device}`, 'lsblk -f'],
  });
}

const recordOf = (paths: Paths): string => `${paths.poolFile}.device`;

/** The device of the pool that was made, attached if need be. Undefined: none was ever made. */
export async function poolDevice(paths: Paths): Promise<string | undefined> {
  if ((await stat(paths.poolFile).catch(() => undefined)) !== undefined) return attach(paths.poolFile);
  const record = await readFile(recordOf(paths), 'utf8').catch(() => undefined);
  const uuid = record?.split('\n')[1];
  if (uuid === undefined) return undefined;
  // Device names change between boots, the filesystem's own number does not.
  const { code, stdout } = await exec('findfs', [`UUID=${uuid}`], { accept: [0, 1, 2] });
  if (code === 0) return stdout.trim();
  throw new AppError('no-pool', "Cannot find the pool's device", {
    why: `No disk carries the filesystem ${uuid}.`,
    next: ['lsblk -f'],
  });
}
