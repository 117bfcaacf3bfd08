import { AppError, ERRORS } from '../../contract/errors.ts';
import { escapeText } from '../../contract/names.ts';
import type { Terminal } from './terminal.ts';
import { safeLines, wrap } from './text.ts';

/** Any error as an AppError: what is not one is a fault of ours, and says so. */
export function toAppError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  return new AppError('failed', 'Something went wrong in this command line', {
    why: error instanceof Error ? error.message : String(error),
    cause: error,
  });
}

/** What, why, and the commands that would work. `evidence`: more lines, for `-v`. */
export function sayError(terminal: Terminal, error: AppError, evidence: readonly string[] = []): void {
  const { paintError: paint, widthError } = terminal;
  const width = widthError ?? Number.POSITIVE_INFINITY;
  const refused = ERRORS[error.code].exit === 3 && error.code !== 'factor-required' && error.code !== 'factor-wrong';
  const [first = '', ...more] = safeLines(refused ? `Refused: ${lowerFirst(error.message)}` : error.message);
  const what = [...wrap(/[.!?:…]$/.test(first) || more.length > 0 ? first : `${first}.`, width), ...more];
  const why = error.why === undefined ? [] : safeLines(error.why).flatMap((line) => wrap(line, width));
  terminal.say([
    ...what.map((line, at) => (at === 0 && refused ? line.replace('Refused:', paint.bad('Refused:')) : line)),
    ...why,
    ...error.next.map((line) => `  ${paint.bold(escapeText(line))}`),
    ...evidence.map((line) => paint.dim(escapeText(line))),
  ]);
}

/** `An agent cannot` after a colon; a name, quoted or not, stays as it is. */
const lowerFirst = (text: string): string => text.replace(/^[A-Z](?=[a-z ])/, (letter) => letter.toLowerCase());
