import { existsSync, mkdtempSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/** A directory in memory, for tests that flush thousands of times and mean no disk. */
export function memoryDirectory(name: string): string {
  const memory = '/dev/shm';
  return mkdtempSync(path.join(existsSync(memory) ? memory : os.tmpdir(), `bulkhead-${name}-`));
}
