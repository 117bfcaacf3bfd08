import { escapeText } from '../contract/names.ts';
import type { Output } from '../contract/operations.ts';
import type { Look } from './context.ts';
import { poolLine } from './ls.ts';
import { shown } from './perform.ts';
import { count } from './terminal/text.ts';
import { when } from './terminal/times.ts';

/** `status`: the machine on five lines, and what a person should know now. */
export const status = shown('machine.status', lines);

function lines(status: Output<'machine.status'>, look: Look): string[] {
  const instance = status.instance === '' ? '' : `, instance ${status.instance}`;
  const pool =
    status.pool === null ? `no pool: ${escapeText(status.poolNote ?? 'none was made')}` : poolLine(status.pool);
  return [
    escapeText(`daemon ${status.version}${instance}, running since ${when(status.started, look.now)}`),
    pool,
    `${count(status.apps, 'app')}, ${count(status.forks, 'fork')}, ${status.up} up`,
    status.enrolled ? 'a second factor is enrolled' : 'no second factor is enrolled yet: sudo bulkhead init',
    ...status.recovered.map((text) => `the last start: ${escapeText(text)}`),
    ...status.notes.map((text) => `${look.paint.warn('!')} ${escapeText(text)}`),
  ];
}
