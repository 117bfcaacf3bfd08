import type { Output } from '../contract/operations.ts';
import type { Look } from './context.ts';
import { shown } from './perform.ts';
import { table } from './terminal/table.ts';

/** `policy`: who may do what, with the reason for each line. */
export const policy = shown('policy.show', lines);

function lines({ rules }: Output<'policy.show'>, look: Look): string[] {
  const rows = rules.map((rule) => [rule.target, rule.effect, rule.unproven, rule.person, rule.cell, rule.reason]);
  return [
    ...table(rows, {
      head: ['on', 'effect', 'unproven', 'person', 'cell', 'because'],
      paintHead: look.paint.dim,
      width: look.verbose ? undefined : look.width,
    }),
    look.paint.dim('unproven: an agent, and whoever has not signed in. own: its own. factor: with a code, each time.'),
  ];
}
