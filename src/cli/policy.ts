import { escapeText } from '../contract/names.ts';
import type { Output } from '../contract/operations.ts';
import type { Look } from './context.ts';
import { shown } from './perform.ts';
import { table } from './terminal/table.ts';
import { wrap } from './terminal/text.ts';

/** `policy`: who may do what, with the reason for each line. */
export const policy = shown('policy.show', lines);

function lines({ rules }: Output<'policy.show'>, look: Look): string[] {
  const rows = rules.map((rule) => [rule.target, rule.effect, rule.unproven, rule.person, rule.cell]);
  const [head = '', ...lines] = table(rows, {
    head: ['on', 'effect', 'unproven', 'person', 'cell'],
    paintHead: look.paint.dim,
  });
  return [
    head,
    ...lines.flatMap((line, at) => [line, ...reasonLines(rules[at]?.reason ?? '', look)]),
    look.paint.dim('unproven: an agent, and whoever has not signed in. own: its own. factor: with a code, each time.'),
  ];
}

/** The reason below its line: a column of its own would be as narrow as a word. */
const reasonLines = (reason: string, { paint, width }: Look): string[] =>
  wrap(escapeText(reason), (width ?? 100) - 4).map((line) => paint.dim(`    ${line}`));
