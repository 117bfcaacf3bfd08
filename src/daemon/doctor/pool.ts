import { lstat, readdir, readFile, statfs } from 'node:fs/promises';
import path from 'node:path';
import type { Finding } from '../../contract/machine.ts';
import { judgePool, type PoolFacts, type PoolMount } from '../../core/pool-checks.ts';
import type { Paths } from '../../host/paths.ts';
import type { Parts } from '../parts.ts';

const FILESYSTEMS = '/sys/fs/btrfs';

export async function checkPool(parts: Pick<Parts, 'paths' | 'volumes' | 'floor'>): Promise<Finding[]> {
  const { paths } = parts;
  const [owner, file, onDevice, disk] = await Promise.all([
    lstat(paths.state),
    lstat(paths.poolFile).catch(() => undefined),
    lstat(`${paths.poolFile}.device`).catch(() => undefined),
    statfs(paths.state),
  ]);
  const room = await parts.volumes.room();
  const facts: PoolFacts = {
    at: { mount: paths.pool, state: paths.state, file: file === undefined ? null : paths.poolFile },
    made: file !== undefined || onDevice !== undefined,
    mount: await mountOf(paths),
    owner: { uid: owner.uid, mode: owner.mode },
    // st_blocks counts 512 bytes, whatever the filesystem's block (stat(2)).
    holes: file === undefined ? 0 : Math.max(0, file.size - file.blocks * 512),
    fileSize: file?.size ?? 0,
    disk: { free: disk.bavail * disk.bsize, size: disk.blocks * disk.bsize },
    room: room === undefined ? null : { free: room.free, size: room.size },
    floor: parts.floor(),
  };
  return judgePool(facts);
}

/** The pool's mount, by the kernel's list (proc_pid_mountinfo(5)); null: nothing is mounted there. */
async function mountOf(paths: Paths): Promise<PoolMount | null> {
  const table = await readFile('/proc/self/mountinfo', 'utf8');
  const line = table.split('\n').findLast((candidate) => candidate.split(' ')[4] === paths.pool);
  if (line === undefined) return null;
  const [left = '', right = ''] = line.split(' - ');
  const [, source = '', superOptions = ''] = right.split(' ');
  const fields = left.split(' ');
  const sysfs = await sysfsOf(path.basename(source));
  return {
    options: [...(fields[5] ?? '').split(','), ...superOptions.split(',')],
    shared: fields.slice(6).some((field) => field.startsWith('shared:')),
    sysfs,
    ...(await settings(sysfs)),
  };
}

/** The filesystem's directory in sysfs, by the name of its device. */
async function sysfsOf(device: string): Promise<string | null> {
  const names = await readdir(FILESYSTEMS).catch((): string[] => []);
  for (const name of names) {
    const devices = await readdir(`${FILESYSTEMS}/${name}/devices`).catch((): string[] => []);
    if (devices.includes(device)) return `${FILESYSTEMS}/${name}`;
  }
  return null;
}

async function settings(
  sysfs: string | null,
): Promise<Pick<PoolMount, 'quotas' | 'strictLimit' | 'writeBack' | 'errors'>> {
  const read = async (file: string): Promise<string> =>
    sysfs === null
      ? ''
      : readFile(`${sysfs}/${file}`, 'utf8').then(
          (text) => text.trim(),
          () => '',
        );
  const [enabled, mode, strict, most] = await Promise.all(
    ['qgroups/enabled', 'qgroups/mode', 'bdi/strict_limit', 'bdi/max_bytes'].map(read),
  );
  return {
    quotas: enabled === '1' ? (mode ?? '') : null,
    strictLimit: strict === '1',
    writeBack: Number(most) || 0,
    errors: await deviceErrors(sysfs),
  };
}

/** Lines of `write_errs 0`, one kind each. */
async function deviceErrors(sysfs: string | null): Promise<number> {
  if (sysfs === null) return 0;
  const devices = await readdir(`${sysfs}/devinfo`).catch((): string[] => []);
  const texts = await Promise.all(
    devices.map((device) => readFile(`${sysfs}/devinfo/${device}/error_stats`, 'utf8').catch(() => '')),
  );
  return texts.flatMap((text) => [...text.matchAll(/\w+ (\d+)/g)]).reduce((sum, [, count]) => sum + Number(count), 0);
}
