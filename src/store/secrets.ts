import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import path from 'node:path';

/** Keys of the daemon: 32 bytes each, in files that root alone can read. */
export interface Secrets {
  /** Of the audit log's MACs. */
  auditKey: Buffer;
  /** Of the manifests on the pool. */
  manifestKey: Buffer;
}

const LENGTH = 32;

/** Reads the keys, and makes those that are missing. */
export async function openSecrets(directory: string): Promise<Secrets> {
  return {
    auditKey: await keyIn(path.join(directory, 'audit.key')),
    manifestKey: await keyIn(path.join(directory, 'manifest.key')),
  };
}

async function keyIn(file: string): Promise<Buffer> {
  const { O_RDONLY, O_NOFOLLOW, O_CREAT, O_EXCL, O_WRONLY } = constants;
  const existing = await open(file, O_RDONLY | O_NOFOLLOW).catch(absent);
  if (existing !== undefined) {
    try {
      const key = await existing.readFile();
      if (key.length === LENGTH) return key;
      // Cut by a crash while it was made: nothing was signed with it yet.
      if (key.length > 0) throw new Error(`the key ${file} has ${key.length} bytes instead of ${LENGTH}`);
      return await fill(await open(file, O_WRONLY | O_NOFOLLOW));
    } finally {
      await existing.close();
    }
  }
  return fill(await open(file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600));
}

async function fill(handle: FileHandle): Promise<Buffer> {
  try {
    const key = randomBytes(LENGTH);
    await handle.writeFile(key);
    await handle.sync();
    return key;
  } finally {
    await handle.close();
  }
}

const absent = (error: NodeJS.ErrnoException): undefined => {
  if (error.code === 'ENOENT') return undefined;
  throw error;
};
