import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import path from 'node:path';
import { parse } from 'yaml';

/**
 * Runs inside a cell, as its user agent, with a deadline and bounded output: reads
 * /app/bulkhead.yaml and the hooks that it names, and prints them as JSON. The
 * daemon never opens a file of a cell itself. Prints `{"file":null,"hooks":{}}`
 * where there is none; `{"error":…}` where it cannot be read.
 */
const FILE_LIMIT = 64 << 10;
const HOOK_LIMIT = 256 << 10;
const ROOT = '/app';

async function readBounded(name: string, limit: number): Promise<string | undefined> {
  // O_NONBLOCK: a FIFO in its place does not hang us; O_NOFOLLOW: nor is a link followed.
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const handle = await open(path.join(ROOT, name), flags).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw new Error(
      `"${name}" cannot be read: ${error.code === 'ELOOP' ? 'it is a symlink' : (error.code ?? 'unknown')}`,
    );
  });
  if (handle === undefined) return undefined;
  try {
    const info = await handle.stat();
    if (!info.isFile()) throw new Error(`"${name}" is not a regular file`);
    if (info.size > limit) throw new Error(`"${name}" has ${info.size} bytes, over the limit of ${limit}`);
    const buffer = Buffer.alloc(limit + 1);
    const { bytesRead } = await handle.read(buffer, 0, limit + 1, 0);
    if (bytesRead > limit) throw new Error(`"${name}" is over the limit of ${limit} bytes`);
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await handle.close();
  }
}

async function proposal(): Promise<unknown> {
  const text = await readBounded('bulkhead.yaml', FILE_LIMIT);
  if (text === undefined) return { file: null, hooks: {} };
  const file: unknown = parse(text, { maxAliasCount: 10 }) ?? {};
  const hooks: Record<string, string> = {};
  const named = { ...record(record(file)['hooks']), ...pick(record(record(file)['fork']), ['prepare', 'cleanup']) };
  for (const [name, where] of Object.entries(named)) {
    if (typeof where !== 'string') continue;
    const content = await readBounded(where, HOOK_LIMIT);
    if (content === undefined) throw new Error(`the hook "${name}" names "${where}", which does not exist`);
    hooks[name] = content;
  }
  return { file, hooks };
}

const record = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
const pick = (from: Record<string, unknown>, keys: readonly string[]): Record<string, unknown> =>
  Object.fromEntries(keys.filter((key) => key in from).map((key) => [key, from[key]]));

proposal().then(
  (found) => process.stdout.write(JSON.stringify(found)),
  (error: unknown) =>
    process.stdout.write(
      JSON.stringify({ error: String(error instanceof Error ? error.message : error).slice(0, 500) }),
    ),
);
