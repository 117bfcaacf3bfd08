import { AppError } from '../contract/errors.ts';
import { escapeText } from '../contract/names.ts';
import { formatBytes } from '../contract/units.ts';
import type { Id } from '../core/ids.ts';
import type { VolumeRecord } from '../store/volumes.ts';
import type { Parts } from './parts.ts';

/** Milliseconds that an upload may take. */
const DEADLINE = 6 * 3_600_000;
/** Milliseconds between two looks at the pool's room. */
const LOOK_EVERY = 250;

/**
 * Unpacks an uploaded tar inside the cell, by the cell's root: a path that leaves
 * the app, a device or a planted link meets the cell's walls, not the machine.
 * Throws `bad-archive`, and `pool-full` where the pool reaches its floor meanwhile.
 */
export async function unpack(parts: Parts, record: VolumeRecord, upload: Id): Promise<void> {
  const input = parts.uploads.get(upload);
  if (input === undefined) throw cutOff();
  const command = [
    '/usr/bin/tar',
    '--extract',
    '--file=-',
    '--directory=/app',
    '--numeric-owner',
    '--preserve-permissions',
    '--delay-directory-restore',
  ];
  const end = whenFull(parts, (error) => input.destroy(error));
  const result = await parts.cells
    .run(
      { cell: record.id, id: parts.newId(), command, user: 'root', stdin: true, log: 0 },
      { deadline: DEADLINE, output: 64 << 10, input },
    )
    .finally(end);
  const said = result.stderr.toString('utf8').trim();
  if (input.errored instanceof AppError) throw input.errored.code === 'pool-full' ? input.errored : cutOff();
  if (/No space left on device/.test(said)) throw await full(parts);
  // What follows the archive's end is not read: that breaks the stream as well, and is none of its faults.
  if (result.code === 0 && result.cut === undefined) return;
  if (/Unexpected EOF/.test(said)) throw cutOff();
  const why = said
    .split('\n')
    .slice(0, 3)
    .map((line) => escapeText(line.slice(0, 200)));
  throw new AppError('bad-archive', 'The upload could not be unpacked', { why: why.join('\n'), next: NEXT });
}

const NEXT = ['bulkhead create NAME --from DIRECTORY'];
const cutOff = (): AppError => new AppError('bad-archive', 'The upload was cut off', { next: NEXT });

/** Calls once when less than the floor is free: what other apps need is not for an upload. Returns its end. */
function whenFull(parts: Parts, call: (error: AppError) => void): () => void {
  const look = async (): Promise<void> => {
    const room = await parts.volumes.room();
    if (room !== undefined && room.free < parts.floor()) call(await full(parts));
  };
  const timer = setInterval(() => void look().catch(() => {}), LOOK_EVERY);
  return () => clearInterval(timer);
}

async function full(parts: Parts): Promise<AppError> {
  const free = formatBytes((await parts.volumes.room())?.free ?? 0);
  const floor = formatBytes(parts.floor());
  return new AppError(
    'pool-full',
    `The upload does not fit: the pool has ${free} free, and ${floor} are kept for production`,
    {
      why: 'A file with holes is taken in as what it reads as.',
      next: ['bulkhead ls', 'bulkhead trash ls'],
    },
  );
}

/** Counts what an app holds, by a helper in its cell. */
export async function measure(parts: Parts, record: VolumeRecord): Promise<{ files: number; bytes: number }> {
  const script = `find /app -xdev -mindepth 1 -printf '%y %s\\n' | awk '{ n++; if ($1 == "f") s += $2 } END { printf "%d %.0f", n, s }'`;
  const result = await parts.cells.run(
    { cell: record.id, id: parts.newId(), command: ['/bin/sh', '-c', script], user: 'root', stdin: false, log: 0 },
    { deadline: 600_000, output: 4096 },
  );
  const [files = 0, bytes = 0] = result.stdout.toString('utf8').split(' ').map(Number);
  return { files, bytes };
}
