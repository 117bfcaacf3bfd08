import { escapeText } from '../contract/names.ts';
import type { Output } from '../contract/operations.ts';
import { formatSeconds } from '../contract/units.ts';
import type { Look } from './context.ts';
import { commandOf } from './spec.ts';
import { shown } from './perform.ts';
import { table } from './terminal/table.ts';

/** `points`: what one can go back to, and what came after each. */
export const points = shown('point.list', lines);

function lines({ points }: Output<'point.list'>, look: Look): string[] {
  if (points.length === 0) return ['There is no point yet: one is taken before each change to production.'];
  const rows = points.map((point) => [
    point.name,
    formatSeconds((look.now - Date.parse(point.created)) / 1000),
    point.after.length === 0
      ? 'nothing since'
      : point.after.map((one) => `${commandOf(one.operation)} by ${one.caller}`).join(', '),
  ]);
  const [newest] = points;
  const app = newest?.name.split('@')[0] ?? 'APP';
  return [
    ...table(rows, { head: ['point', 'age', 'what came after it'], paintHead: look.paint.dim, width: look.width }),
    `  bulkhead fork ${escapeText(app)}:look --from ${escapeText(newest?.name ?? 'POINT')}`,
  ];
}
