import type { Output } from '../contract/operations.ts';
import { formatBytes, formatSeconds } from '../contract/units.ts';
import type { Look } from './context.ts';
import { shown } from './perform.ts';
import { table } from './terminal/table.ts';

/** `ps`: the processes of a cell by session. */
export const ps = shown('cell.processes', lines);

function lines({ processes }: Output<'cell.processes'>, look: Look): string[] {
  if (processes.length === 0) return ['Nothing runs in it.'];
  const rows = processes.map((one) => [
    String(one.pid),
    String(one.user),
    look.verbose ? one.session : one.session.slice(0, 8),
    formatSeconds((look.now - Date.parse(one.started)) / 1000),
    formatBytes(one.rss),
    one.command,
  ]);
  return table(rows, {
    head: ['pid', 'uid', 'session', 'age', 'memory', 'command'],
    paintHead: look.paint.dim,
    right: [0, 1],
    width: look.width,
  });
}
