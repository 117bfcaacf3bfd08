import { mkdir, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { AppError } from '../contract/errors.ts';

/**
 * Ranges of 65,536 host ids for running cells, away from systemd's and
 * /etc/subuid's. Every instance of the machine claims a region of its own, so
 * several run beside each other; a slot numbers a range in it, and the cell's address.
 */
const FIRST_ID = 0x7000_0000;
const RANGE = 0x1_0000;
const REGION_SLOTS = 255;
const REGIONS = 16;
const CLAIMS = '/run/bulkhead.ranges';

export interface Slots {
  /** The lowest free slot; it is taken until `release`. Throws `no-room`. */
  allocate(): Promise<number>;
  /** A slot that a cell of an earlier daemon has. */
  adopt(slot: number): void;
  release(slot: number): void;
  idBase(slot: number): number;
  slotOf(idBase: number): number;
}

/** Claims a region for the instance whose run directory is `run`. */
export async function createSlots(run: string): Promise<Slots> {
  const region = await claim(run);
  const taken = new Set<number>();
  const idBase = (slot: number): number => FIRST_ID + (region * REGION_SLOTS + slot) * RANGE;
  return {
    idBase,
    slotOf: (base) => (base - FIRST_ID) / RANGE - region * REGION_SLOTS,
    adopt: (slot) => void taken.add(slot),
    release: (slot) => void taken.delete(slot),
    async allocate() {
      const foreign = await rangesInUse();
      for (let slot = 0; slot < REGION_SLOTS; slot += 1) {
        const base = idBase(slot);
        if (taken.has(slot) || foreign.some((used) => used.from < base + RANGE && base < used.to)) continue;
        taken.add(slot);
        return slot;
      }
      throw new AppError('no-room', `Cannot start another cell: all ${REGION_SLOTS} ranges of user ids are in use`, {
        next: ['bulkhead ls', 'bulkhead down REF'],
      });
    },
  };
}

async function claim(run: string): Promise<number> {
  await mkdir(CLAIMS, { recursive: true, mode: 0o700 });
  for (let region = 0; region < REGIONS; region += 1) {
    const file = path.join(CLAIMS, String(region));
    const holder = await readFile(file, 'utf8').catch(() => undefined);
    if (holder === run) return region;
    const stale = holder !== undefined && !(await exists(holder));
    if (stale) await rm(file, { force: true });
    if (holder !== undefined && !stale) continue;
    // `wx`: two daemons that start at once do not both get it.
    const mine = await writeFile(file, run, { flag: 'wx', mode: 0o600 }).then(
      () => true,
      () => false,
    );
    if (mine) return region;
  }
  throw new AppError(
    'no-room',
    `Cannot start another instance: all ${REGIONS} regions of user ids are claimed in ${CLAIMS}`,
  );
}

/** Gives the region back; for uninstalling and tests. */
export async function releaseRegion(run: string): Promise<void> {
  for (const name of await readdir(CLAIMS).catch(() => [])) {
    const file = path.join(CLAIMS, name);
    if ((await readFile(file, 'utf8').catch(() => '')) === run) await rm(file, { force: true });
  }
}

const exists = (file: string): Promise<boolean> =>
  stat(file).then(
    () => true,
    () => false,
  );

interface Used {
  from: number;
  to: number;
}

/** Host ids that live user namespaces or /etc/subuid hold (user_namespaces(7), subuid(5)). */
async function rangesInUse(): Promise<Used[]> {
  const processes = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const maps = await Promise.all(processes.map((pid) => readFile(`/proc/${pid}/uid_map`, 'utf8').catch(() => '')));
  const subuid = await readFile('/etc/subuid', 'utf8').catch(() => '');
  return [...new Set(maps)].flatMap(mapRanges).concat(subuidRanges(subuid));
}

/** The host side of a uid_map; the machine's own whole map is no use of a range. */
export function mapRanges(map: string): Used[] {
  return map.split('\n').flatMap((line) => {
    const [, from, count] = line.trim().split(/\s+/).map(Number);
    if (from === undefined || count === undefined || count >= 0xffff_ffff || !(count > 0)) return [];
    return [{ from, to: from + count }];
  });
}

export function subuidRanges(text: string): Used[] {
  return text.split('\n').flatMap((line) => {
    const [, from, count] = line.split(':').map(Number);
    return from !== undefined && count !== undefined && count > 0 ? [{ from, to: from + count }] : [];
  });
}
