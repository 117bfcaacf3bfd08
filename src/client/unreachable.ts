import { existsSync } from 'node:fs';
import { AppError } from '../contract/errors.ts';

/** Where a service of ours is installed; without one systemd is not to be asked. */
const UNITS = ['/etc/systemd/system/bulkhead.service', '/lib/systemd/system/bulkhead.service'];

/** Ends of a connection that mean: whoever was there has gone. */
const GONE = new Set(['ECONNRESET', 'EPIPE', 'ECONNABORTED', 'ERR_STREAM_PREMATURE_CLOSE', 'ERR_SOCKET_CLOSED']);

/** What it means that a socket could not be reached, or was lost before its answer was whole. */
export function unreachable(error: unknown, socket: string): AppError {
  if (error instanceof AppError) return error;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (code === 'EACCES' || code === 'EPERM')
    return new AppError('refused', `You may not use the daemon's socket ${socket}`, {
      why: 'Root may, the members of the group bulkhead, and whoever is enrolled.',
      next: ['sudo usermod --append --groups bulkhead "$USER"   (then log in again)'],
      cause: error,
    });
  if (GONE.has(code))
    return new AppError('no-daemon', 'The daemon ended before it had answered', {
      why: 'What it had begun is finished or undone when it starts again.',
      next: ['bulkhead status'],
      cause: error,
    });
  if (code === 'ENOENT' || code === 'ECONNREFUSED' || code === 'ENOTDIR')
    return new AppError('no-daemon', `No daemon answers on ${socket}`, {
      next: [
        ...(UNITS.some((unit) => existsSync(unit)) ? ['sudo systemctl start bulkhead'] : []),
        'sudo bulkhead daemon   (in the foreground)',
      ],
      cause: error,
    });
  return new AppError('no-daemon', `The daemon cannot be asked on ${socket}`, {
    why: error instanceof Error ? error.message : String(error),
    next: ['bulkhead status'],
    cause: error,
  });
}
