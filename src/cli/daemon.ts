import { createRequire } from 'node:module';
import path from 'node:path';

/**
 * Becomes the daemon: its bundle lies beside ours. It is loaded into this process, so
 * that who watches the process (systemd, a terminal) watches the daemon.
 */
export function runDaemon(): void {
  const here = path.resolve(process.argv[1] ?? '');
  const load = createRequire(here);
  const beside = path.basename(path.dirname(here)) === 'dist' ? './bulkheadd.cjs' : '../../dist/bulkheadd.cjs';
  try {
    load(beside);
  } catch (error) {
    if (!(error instanceof Error) || !('code' in error) || error.code !== 'MODULE_NOT_FOUND') throw error;
    process.stderr.write('The daemon is not here: it is built beside the command line.\n  ./run build\n');
    process.exitCode = 1;
  }
}
