import type { Finding } from '../contract/machine.ts';
import { formatBytes } from '../contract/units.ts';
import { bad, judgeDisk, orFine, warn } from './checks.ts';

/** What was seen of the pool and of where it lies. Sizes in bytes. */
export interface PoolFacts {
  /** Mount point, state directory and backing file; null: the pool is on a device. */
  at: { mount: string; state: string; file: string | null };
  made: boolean;
  mount: PoolMount | null;
  /** Of the directory that nobody but root may enter. */
  owner: { uid: number; mode: number };
  /** Bytes of the backing file that no block of the disk is behind. */
  holes: number;
  fileSize: number;
  disk: { free: number; size: number };
  room: { free: number; size: number } | null;
  floor: number;
}

export interface PoolMount {
  options: readonly string[];
  /** What is mounted in it would show in other namespaces. */
  shared: boolean;
  /** Directory of the filesystem in sysfs; null: it was not found. */
  sysfs: string | null;
  /** `squota` where forks are capped; null: no quotas. */
  quotas: string | null;
  strictLimit: boolean;
  /** Bytes that it may have in write-back; 0: not known. */
  writeBack: number;
  /** Errors that the disk has returned. */
  errors: number;
}

const WANTED = ['nosuid', 'nodev', 'noatime', 'ssd'] as const;
/** More than this in write-back, and a fork that writes holds up production. */
const WRITE_BACK = 64 << 20;
/** The kernel keeps a share of the dirty limit and multiplies on reading, so the figure moves with free memory. */
const TOLERANCE = 4;

export function judgePool(facts: PoolFacts): Finding[] {
  const { mount } = facts;
  const place = [...judgePrivate(facts), ...judgeDisk(facts.disk, facts.at.state)];
  if (mount === null) {
    const text = facts.made ? 'the pool was made and is not mounted' : 'there is no pool yet';
    return [bad('pool', text, null, 'sudo bulkhead init'), ...place];
  }
  return [
    ...orFine(
      [...judgeMount(facts, mount), ...judgeBacking(facts), ...judgeRoom(facts), ...place],
      'pool',
      'pool healthy and private',
    ),
    ...judgeLimits(facts, mount),
  ];
}

function judgePrivate({ owner, at }: PoolFacts): Finding[] {
  if (owner.uid === 0 && (owner.mode & 0o077) === 0) return [];
  const mode = (owner.mode & 0o777).toString(8).padStart(3, '0');
  return [
    bad(
      'private',
      `others than root may enter ${at.state} (mode ${mode})`,
      'State, keys and every app lie below it.',
      `sudo chown root:root ${at.state}; sudo chmod 700 ${at.state}`,
    ),
  ];
}

function judgeMount({ at }: PoolFacts, mount: PoolMount): (Finding | null)[] {
  const missing = WANTED.filter((option) => !mount.options.includes(option));
  return [
    mount.options.includes('ro')
      ? bad(
          'pool',
          'the pool is read-only',
          'btrfs does that when it finds an error, or somebody has mounted it so.',
          `sudo dmesg | grep -i btrfs | tail; sudo mount -o remount,rw ${at.mount}`,
        )
      : null,
    missing.length > 0
      ? bad(
          'pool',
          `the pool is mounted without ${missing.join(', ')}`,
          null,
          `sudo mount -o remount,${missing.join(',')} ${at.mount}`,
        )
      : null,
    mount.shared
      ? bad('pool', 'mounts in the pool would show in other namespaces', null, `sudo mount --make-private ${at.mount}`)
      : null,
    mount.errors > 0
      ? bad(
          'pool',
          `the disk of the pool has returned ${mount.errors} errors`,
          'Take a backup while it can be read.',
          `sudo btrfs device stats ${at.mount}`,
        )
      : null,
  ];
}

function judgeLimits({ at }: PoolFacts, mount: PoolMount): Finding[] {
  const bdi = `${mount.sysfs ?? '/sys/fs/btrfs/UUID'}/bdi`;
  const limited = mount.strictLimit && mount.writeBack > 0 && mount.writeBack <= TOLERANCE * WRITE_BACK;
  return orFine(
    [
      mount.quotas === 'squota'
        ? null
        : bad(
            'limits',
            `the pool has ${mount.quotas === null ? 'no quotas' : `quotas of another kind (${mount.quotas})`}: forks are not capped`,
            'Switching them on takes btrfs-progs 6.7 or newer.',
            `sudo btrfs quota enable --simple ${at.mount}`,
          ),
      limited
        ? null
        : bad(
            'limits',
            'the write-back of the pool is not limited',
            'A fork that writes would hold up production for a second at a time.',
            `echo 1 | sudo tee ${bdi}/strict_limit; echo ${WRITE_BACK} | sudo tee ${bdi}/max_bytes`,
          ),
    ],
    'limits',
    'limits in force',
  );
}

function judgeBacking({ at, holes, fileSize }: PoolFacts): (Finding | null)[] {
  if (at.file === null || holes === 0) return [];
  return [
    warn(
      'pool',
      `${formatBytes(holes)} of the pool's file have no room on the disk behind them`,
      'With the disk full, writes would be lost after they were acknowledged.',
      `sudo fallocate --length ${fileSize} ${at.file}`,
    ),
  ];
}

function judgeRoom({ room, floor }: PoolFacts): (Finding | null)[] {
  if (room === null) return [];
  if (room.free < floor)
    return [
      bad(
        'room',
        `the pool is below its floor: ${formatBytes(room.free)} free, ${formatBytes(floor)} kept for production`,
        'No fork is made; forks are frozen, and then go to make room.',
        'bulkhead ls; bulkhead trash ls',
      ),
    ];
  if (room.free < floor * 1.5)
    return [
      warn(
        'room',
        `the pool is nearly full: forks may write ${formatBytes(room.free - floor)} more`,
        null,
        'bulkhead ls; bulkhead trash ls',
      ),
    ];
  return [];
}
