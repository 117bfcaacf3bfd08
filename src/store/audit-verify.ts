import type { KeyObject } from 'node:crypto';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { check, LINE_LIMIT, START, type Head } from './audit-chain.ts';
import { linesForwards } from './audit-lines.ts';

/** What a look at the whole log found. */
export interface Verified {
  intact: boolean;
  /** Records that were checked and are as they were written. */
  records: number;
  /** The first thing that is wrong, in a sentence. */
  finding: string | null;
}

/** Reads the first `size` bytes of the log, and holds them against the anchored head. A missing file is not an intact one. */
export async function verifyFile(
  file: string,
  size: number,
  { key, anchored }: { key: KeyObject; anchored: Head },
): Promise<Verified> {
  const handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW).catch(() => undefined);
  if (handle === undefined)
    return found(0, anchored.seq === 0 ? null : `the file is missing; it had ${anchored.seq} records`);
  let head = START;
  try {
    for await (const { bytes, whole } of linesForwards(handle, size, LINE_LIMIT)) {
      if (!whole) return found(head.seq, `what follows record ${head.seq} is cut or malformed`);
      const checked = check(bytes, head, key);
      if ('wrong' in checked) return found(head.seq, checked.wrong);
      head = checked.head;
      if (head.seq === anchored.seq && head.mac !== anchored.mac)
        return found(head.seq - 1, `record ${head.seq} is another than the one that was anchored`);
      if (head.seq > anchored.seq) return found(anchored.seq, `record ${head.seq} was never anchored`);
    }
  } finally {
    await handle.close();
  }
  if (head.seq === anchored.seq) return found(head.seq, null);
  const gone =
    anchored.seq === head.seq + 1 ? `record ${anchored.seq} was` : `records ${head.seq + 1} to ${anchored.seq} were`;
  return found(head.seq, `${gone} cut off the end`);
}

const found = (records: number, finding: string | null): Verified => ({ intact: finding === null, records, finding });
