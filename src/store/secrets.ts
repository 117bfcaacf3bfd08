import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import path from 'node:path';
import { AppError } from '../contract/errors.ts';

/** Keys of the daemon, each in a file that root alone can read. */
export interface Secrets {
  /** Of the audit log's MACs. */
  auditKey: Buffer;
  /** Of the manifests on the pool. */
  manifestKey: Buffer;
}

/** Bytes of a key: as long as what HMAC-SHA-256 gives (RFC 2104, section 3). */
const LENGTH = 32;

/** Reads the keys, and makes those that are missing. Throws `failed` for a file that is no key. */
export async function openSecrets(
  directory: string,
  random: (bytes: number) => Buffer = randomBytes,
): Promise<Secrets> {
  const key = (name: string): Promise<Buffer> => keyIn(path.join(directory, name), random);
  return { auditKey: await key('audit.key'), manifestKey: await key('manifest.key') };
}

async function keyIn(file: string, random: (bytes: number) => Buffer): Promise<Buffer> {
  const existing = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW).catch(absent);
  if (existing === undefined) return make(file, random(LENGTH));
  try {
    await existing.chmod(0o600);
    const { size } = await existing.stat();
    const key = Buffer.alloc(LENGTH);
    if (size !== LENGTH || (await existing.read(key, 0, LENGTH, 0)).bytesRead !== LENGTH)
      throw new AppError('failed', `"${file}" has ${size} bytes and is no key: a key has ${LENGTH}`, {
        why: 'What was signed with the old key cannot be checked with a new one.',
        next: ['put the file back from a backup'],
      });
    return key;
  } finally {
    await existing.close();
  }
}

/** Under its name it is whole: a crash leaves no key, or all of it. */
async function make(file: string, key: Buffer): Promise<Buffer> {
  const { O_WRONLY, O_CREAT, O_TRUNC, O_NOFOLLOW, O_RDONLY, O_DIRECTORY } = constants;
  const handle = await open(`${file}.new`, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0o600);
  try {
    await handle.writeFile(key);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(`${file}.new`, file);
  const directory = await open(path.dirname(file), O_RDONLY | O_DIRECTORY);
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
  return key;
}

const absent = (error: NodeJS.ErrnoException): undefined => {
  if (error.code === 'ENOENT') return undefined;
  throw error;
};
