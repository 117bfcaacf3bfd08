import { escapeText } from '../contract/names.ts';
import type { Output } from '../contract/operations.ts';
import { formatBytes, formatMs } from '../contract/units.ts';
import type { Look, Run } from './context.ts';
import { answer, perform, shown } from './perform.ts';
import { when } from './terminal/times.ts';

/** `fork`: the copy, with what it cost, and what one does with it. */
export const fork: Run<'fork.create'> = async (context, input, flags) => {
  const started = performance.now();
  const made = await perform(context, 'fork.create', input, flags);
  const total = performance.now() - started;
  answer(context, made, flags, (look) => forkLines(made, total, look));
  return 0;
};

function forkLines(made: Output<'fork.create'>, total: number, look: Look): string[] {
  const ref = escapeText(made.ref);
  const what = made.up ? 'ready and up' : 'ready';
  const cap = look.verbose ? ` May write ${formatBytes(made.cap)} itself.` : '';
  return [
    `${look.paint.bold(ref)} is ${what}. Yours until ${when(made.expires, look.now)}.${cap} Total ${formatMs(total)}`,
    `  bulkhead shell ${ref}      bulkhead reset ${ref}      bulkhead rm ${ref}`,
  ];
}

export const reset = shown('fork.reset', ({ ref, trash, up }) => [
  `${escapeText(ref)} is what it was when it was made${up ? ', and up' : ''}.`,
  `Its old content waits in the trash as ${escapeText(trash)}.`,
]);

export const extend = shown('fork.extend', ({ ref, expires }, { now }) => [
  `${escapeText(ref)} is yours until ${when(expires, now)}`,
]);
