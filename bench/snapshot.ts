import { randomUUID } from 'node:crypto';
import { open, writeFile, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import type { Id } from '../src/core/ids.ts';
import type { VolumePlace } from '../src/core/places.ts';
import { subvolumeId } from '../src/host/btrfs/ioctl.ts';
import { DIRECTORY } from '../src/host/btrfs/pool.ts';
import { scratchPool, type ScratchPool } from '../src/host/btrfs/scratch.ts';
import { search } from '../src/host/btrfs/search.ts';
import { exec } from '../src/host/exec.ts';

/** One line of the table that a bench prints. */
export interface Row {
  name: string;
  unit: string;
  /** Measurements. */
  n: number;
  p50: number;
  p99: number;
  /** What it was run beside, with its figures; null: nothing. */
  beside: string | null;
  goal: string | null;
  met: boolean | null;
}

export interface BenchOptions {
  /** Fewer measurements. */
  quick: boolean;
}

const GIB = 2 ** 30;
const PAGE = 4096;
const EXTENTS = 200_000;
const CAP = GIB;

/** Forks that there are at once, of each app. Cleaning them away is not part of a fork, and waited for. */
const AT_ONCE = 10;

/**
 * The storage step of a fork: read-only base, writable copy, cap; commits included. Of a quiet app with 1,000 small
 * files and 1 GiB in as few extents as btrfs makes, and of one with 200,000, taken in turn. Quiet is not still:
 * before each, the app rewrites one page of a file, so that there is something to flush. Beside it, a disk image
 * with as many extents in the same pool is copied by `cp --reflink=always` and flushed. Needs root and 6 GiB.
 */
export async function rows(options: BenchOptions): Promise<Row[]> {
  const pool = scratchPool('bench');
  try {
    await pool.volumes.make({ size: 6 * GIB }, () => {});
    const few = await anApp(pool, writeWhole);
    const many = await anApp(pool, writePieces);
    const forks = { few: [] as number[], many: [] as number[] };
    const copies = { few: [] as number[], many: [] as number[] };
    for (let turn = 0; turn < (options.quick ? 4 : 20); turn += 1) {
      for (let fork = 0; fork < AT_ONCE; fork += 1) {
        forks.few.push(await timeFork(pool, few));
        forks.many.push(await timeFork(pool, many));
      }
      await removeForks(pool, [few, many]);
    }
    for (let turn = 0; turn < (options.quick ? 3 : 10); turn += 1) {
      copies.few.push(await timeReflink(pool, few));
      copies.many.push(await timeReflink(pool, many));
    }
    return table({ few, many, forks, copies });
  } finally {
    await pool.remove();
  }
}

async function removeForks(pool: ScratchPool, apps: readonly App[]): Promise<void> {
  for (const at of await pool.volumes.list()) if (!apps.some(({ id }) => id === at.id)) await pool.volumes.purge(at);
  await exec('btrfs', ['subvolume', 'sync', pool.paths.pool], { deadline: 300_000 });
}

interface App {
  id: Id;
  extents: number;
}

async function anApp(pool: ScratchPool, fill: (file: FileHandle) => Promise<void>): Promise<App> {
  const id = randomUUID() as Id;
  await pool.volumes.create(id);
  const file = await open(fileOf(pool, id), 'w+');
  await fill(file);
  const { ino } = await file.stat({ bigint: true });
  const tree = await subvolumeId(file.fd);
  await file.close();
  await writeSmallFiles(pool.volumes.mountSource(id));
  await exec('sync', ['--file-system', pool.paths.pool], { deadline: 300_000 });
  return { id, extents: await countExtents(pool, tree, ino) };
}

const fileOf = (pool: ScratchPool, id: Id): string => path.join(pool.volumes.mountSource(id), 'disk');

async function writeWhole(file: FileHandle): Promise<void> {
  // Reserved first: written as it comes, the pool's small write-back would cut it into pieces of 16 MiB.
  await exec('fallocate', ['--length', String(GIB), `/proc/${process.pid}/fd/${file.fd}`]);
  const block = Buffer.alloc(16 << 20, 1);
  for (let at = 0; at < GIB; at += block.length) await file.write(block, 0, block.length, at);
  await file.sync();
}

async function writeSmallFiles(directory: string): Promise<void> {
  for (let file = 0; file < 1000; file += 1) await writeFile(path.join(directory, `file-${file}`), 'x'.repeat(1500));
}

/** Every other piece, then those between: none has a neighbour to be joined with when it is written out. */
async function writePieces(file: FileHandle): Promise<void> {
  const block = Buffer.alloc(2 * PAGE, 1);
  const doubles = GIB / PAGE - EXTENTS;
  for (const half of [0, 1]) {
    let at = 0;
    for (let piece = 0; piece < EXTENTS; piece += 1) {
      const length = piece < doubles ? 2 * PAGE : PAGE;
      if (piece % 2 === half) await file.write(block, 0, length, at);
      at += length;
    }
    await file.sync();
  }
}

/** Items of type EXTENT_DATA (108): what a reflink must copy one by one. */
async function countExtents(pool: ScratchPool, tree: bigint, inode: bigint): Promise<number> {
  const root = await open(pool.paths.pool, DIRECTORY);
  const items = await search(root.fd, { tree, objectids: [inode, inode], types: [108, 108] });
  await root.close();
  return items.length;
}

async function timeFork(pool: ScratchPool, app: App): Promise<number> {
  await touch(pool, app);
  const base: VolumePlace & { area: 'base' } = { area: 'base', id: randomUUID() as Id };
  const started = performance.now();
  await pool.volumes.freeze({ area: 'live', id: app.id }, base);
  await pool.volumes.copy(base, randomUUID() as Id, CAP);
  return performance.now() - started;
}

async function timeReflink(pool: ScratchPool, app: App): Promise<number> {
  await touch(pool, app);
  const [image, copy] = [fileOf(pool, app.id), `${fileOf(pool, app.id)}.copy`];
  const started = performance.now();
  await exec('cp', ['--reflink=always', image, copy], { deadline: 300_000 });
  await exec('sync', [copy], { deadline: 300_000 });
  const ms = performance.now() - started;
  await exec('rm', [copy], { deadline: 300_000 });
  await exec('sync', ['--file-system', pool.paths.pool], { deadline: 300_000 });
  return ms;
}

/** A page of the app changes, and is not flushed. */
async function touch(pool: ScratchPool, app: App): Promise<void> {
  const file = await open(path.join(pool.volumes.mountSource(app.id), 'state'), 'w');
  await file.write(Buffer.alloc(PAGE, 2));
  await file.close();
}

interface Measured {
  few: App;
  many: App;
  forks: { few: number[]; many: number[] };
  copies: { few: number[]; many: number[] };
}

function table({ few, many, forks, copies }: Measured): Row[] {
  const row = (kind: 'few' | 'many', app: App): Row[] => {
    const [fork, copy] = [summary(forks[kind]), summary(copies[kind])];
    const size = `1 GiB in ${app.extents.toLocaleString('en')} extents`;
    const beside = `cp --reflink=always of a disk image with as many: p50 ${copy.p50} ms`;
    const met = fork.p50 <= 10 && fork.p99 <= 50;
    return [
      { name: `fork's snapshot step, ${size}`, unit: 'ms', ...fork, beside, goal: 'p50 ≤ 10, p99 ≤ 50', met },
      { name: `cp --reflink=always, ${size}`, unit: 'ms', ...copy, beside: null, goal: null, met: null },
    ];
  };
  const [one, other] = [summary(forks.few), summary(forks.many)];
  const ratio = { p50: round(other.p50 / one.p50), p99: round(other.p99 / one.p99) };
  const [thin, thick] = [summary(copies.few), summary(copies.many)];
  return [
    ...row('few', few),
    ...row('many', many),
    {
      name: "fork's snapshot step, many extents over few",
      unit: '×',
      n: one.n,
      ...ratio,
      beside: `cp --reflink=always: ${round(thick.p50 / thin.p50)} ×`,
      goal: 'p50 ≤ 1.5',
      met: ratio.p50 <= 1.5,
    },
  ];
}

function summary(values: readonly number[]): { n: number; p50: number; p99: number } {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number): number =>
    round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0);
  return { n: sorted.length, p50: at(0.5), p99: at(0.99) };
}

const round = (value: number): number => Math.round(value * 100) / 100;
