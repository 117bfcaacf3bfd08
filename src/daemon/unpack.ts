import { AppError } from '../contract/errors.ts';
import { escapeText } from '../contract/names.ts';
import type { Id } from '../core/ids.ts';
import type { VolumeRecord } from '../store/volumes.ts';
import type { Parts } from './parts.ts';

/** Milliseconds that an upload may take. */
const DEADLINE = 6 * 3_600_000;

/**
 * Unpacks an uploaded tar inside the cell, by the cell's root: a path that leaves
 * the app, a device or a planted link meets the cell's walls, not the machine.
 * Throws `bad-archive`.
 */
export async function unpack(parts: Parts, record: VolumeRecord, upload: Id): Promise<void> {
  const input = parts.uploads.get(upload);
  if (input === undefined) throw new AppError('bad-archive', 'The upload was cut off');
  const command = [
    '/usr/bin/tar',
    '--extract',
    '--file=-',
    '--directory=/app',
    '--numeric-owner',
    '--preserve-permissions',
    '--delay-directory-restore',
  ];
  const result = await parts.cells.run(
    { cell: record.id, id: parts.newId(), command, user: 'root', stdin: true, log: 0 },
    { deadline: DEADLINE, output: 64 << 10, input },
  );
  if (input.errored !== null && input.errored !== undefined)
    throw new AppError('bad-archive', 'The upload was cut off');
  if (result.code === 0 && result.cut === undefined) return;
  const said = result.stderr
    .toString('utf8')
    .trim()
    .split('\n')
    .slice(0, 3)
    .map((line) => escapeText(line.slice(0, 200)));
  throw new AppError('bad-archive', 'The upload could not be unpacked', { why: said.join('\n') });
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
