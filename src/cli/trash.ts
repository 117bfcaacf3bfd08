import { escapeText } from '../contract/names.ts';
import type { Output } from '../contract/operations.ts';
import { formatBytes } from '../contract/units.ts';
import type { Look } from './context.ts';
import { shown } from './perform.ts';
import { table } from './terminal/table.ts';
import { when } from './terminal/times.ts';

/** `trash ls`: what waits there, and until when. */
export const list = shown('trash.list', lines);

function lines({ items }: Output<'trash.list'>, look: Look): string[] {
  if (items.length === 0) return ['The trash is empty.'];
  const rows = items.map((item) => [
    item.name,
    item.kind,
    item.own === null ? '–' : formatBytes(item.own),
    when(item.removed, look.now),
    when(item.until, look.now),
    item.by,
    item.why,
  ]);
  return table(rows, {
    head: ['name', 'kind', 'own', 'removed', 'gone', 'by', 'why'],
    paintHead: look.paint.dim,
    width: look.width,
  });
}

export const restore = shown('trash.restore', ({ ref }) => [
  `${escapeText(ref)} is back, down`,
  `  bulkhead up ${escapeText(ref)}`,
]);

export const purge = shown('trash.purge', ({ name, at }, { now }) => [
  `${escapeText(name)} is deleted for good at ${when(at, now)}. Until then:`,
  `  bulkhead trash restore ${escapeText(name)}`,
]);
