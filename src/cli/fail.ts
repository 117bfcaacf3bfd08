import { AppError, ERRORS } from '../contract/errors.ts';
import { escapeText } from '../contract/names.ts';
import type { Context } from './context.ts';
import { paintFor } from './terminal.ts';

/** Says an error the way people can act on it, and sets the exit code. `ours`: 125 for exec and shell. */
export function fail(context: Context, error: unknown, json: boolean, ours = false): void {
  const known = error instanceof AppError ? error : new AppError('failed', error instanceof Error ? error.message : String(error));
  const { stdout, stderr, env } = context.process;
  if (json) stdout.write(`${JSON.stringify({ type: 'error', error: known.body() })}\n`);
  else {
    const paint = paintFor(stderr, env);
    const refused = ERRORS[known.code].exit === 3 && !/^(Refused|Your code)/.test(known.message) ? 'Refused: ' : '';
    stderr.write(`${paint.bold(lines(refused + known.message))}\n`);
    if (known.why !== undefined) stderr.write(`${lines(known.why)}\n`);
    for (const command of known.next) stderr.write(`  ${escapeText(command)}\n`);
  }
  context.process.exitCode = ours ? 125 : ERRORS[known.code].exit;
}

/** Messages may have several lines of their own; everything else that moves a cursor is escaped. */
const lines = (text: string): string => text.split('\n').map(escapeText).join('\n');
