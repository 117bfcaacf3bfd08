import { randomUUID } from 'node:crypto';
import { chmod, mkdir } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { pathsOf, type Paths } from '../host/paths.ts';
import { AppError } from '../contract/errors.ts';
import type { Id } from '../core/ids.ts';
import { assemble } from './assemble.ts';
import { createLog } from './log.ts';

/**
 * bulkheadd. Order of a start: state, audit log, pool, what a crash left, cells that
 * live on, and only then the socket; what was up is started after that, production first.
 */
async function main(): Promise<void> {
  // Snapshots and flushes wait on threads of libuv's pool: four of them would stall every file call.
  process.env['UV_THREADPOOL_SIZE'] ??= '16';
  if (process.getuid?.() !== 0) throw new Error('bulkheadd must run as root: sudo bulkhead daemon');
  const paths = pathsOf(process.env['BULKHEAD_INSTANCE']);
  const clock = (): number => Date.now();
  const log = createLog((line) => void process.stderr.write(line), clock);
  await makeDirectories(paths);
  const daemon = await assemble({
    paths,
    clock,
    log,
    newId: () => randomUUID() as Id,
    random: Math.random,
    machine: { memory: os.totalmem(), cpus: os.availableParallelism() },
    program: { node: process.execPath, bundle: bundleDirectory() },
    environment: process.env,
  });
  let stopping: Promise<void> | undefined;
  const stop = (signal: string): void => {
    stopping ??= daemon.stop().then(
      () => process.exit(0),
      (error: unknown) => {
        log.error('could not stop in order', { signal, error: String(error) });
        process.exit(1);
      },
    );
  };
  // A slip of ours in what nobody waits for is told, and ends nobody's session.
  process.on('unhandledRejection', (error) => log.error('nobody waited for this', { error: String(error) }));
  process.on('SIGTERM', () => stop('SIGTERM'));
  process.on('SIGINT', () => stop('SIGINT'));
  process.on('SIGHUP', () => {
    daemon.reload().catch((error: unknown) => log.error('could not reload', { error: String(error) }));
  });
  // One request's slip must not take production's supervisor with it.
  process.on('unhandledRejection', (error) => {
    log.error('nobody waited for this', {
      error: error instanceof Error ? (error.stack ?? error.message) : String(error),
    });
  });
  await daemon.listen();
  log.info('bulkheadd answers', { socket: paths.socket, instance: paths.instance, pid: process.pid });
  await daemon.reconcile();
}

/** State is root's alone. Of the run directory only the socket's own directory may be entered by others. */
async function makeDirectories(paths: Paths): Promise<void> {
  await mkdir(paths.state, { recursive: true, mode: 0o700 });
  await chmod(paths.state, 0o700);
  await mkdir(paths.run, { recursive: true, mode: 0o711 });
  await chmod(paths.run, 0o711);
  const open = path.dirname(paths.socket);
  await mkdir(open, { recursive: true, mode: 0o755 });
  await chmod(open, 0o755);
}

/** Where the bundles lie: beside this file when it is one, else in dist/ of the checkout. */
function bundleDirectory(): string {
  const here = path.dirname(process.argv[1] ?? '');
  return path.basename(here) === 'dist' ? here : path.resolve(here, '../../dist');
}

main().catch((error: unknown) => {
  const { why, next = [] } = error instanceof AppError ? error : {};
  const message = error instanceof Error ? error.message : String(error);
  const lines = [message, ...(why === undefined ? [] : [why]), ...next.map((command) => `  ${command}`)];
  process.stderr.write(`bulkheadd: ${lines.join('\n')}\n`);
  process.exit(1);
});
