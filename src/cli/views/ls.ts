import type { Output } from '../../contract/operations.ts';
import type { VolumeView } from '../../contract/app.ts';
import { formatBytes, formatSeconds } from '../../contract/units.ts';
import { formatTime, table, type Paint } from '../terminal.ts';

const HEAD = ['app / fork', 'state', 'own', 'shared', 'owner', 'age', 'goes'];

/** Apps with their forks below them, and the room in the pool. `now` in milliseconds since 1970. */
export function listing(result: Output<'app.list'>, paint: Paint, now: number): string {
  const { volumes, pool } = result;
  if (volumes.length === 0) return 'no apps yet\n  bulkhead create NAME --from DIR';
  const rows = volumes.map((one, at) => {
    const last = volumes[at + 1]?.kind !== 'fork';
    return [one.kind === 'app' ? one.ref : `${last ? '└─' : '├─'} ${one.ref}`, ...cells(one, now)];
  });
  const lines = table([HEAD, ...rows]).split('\n');
  const notes = volumes.flatMap((one) => (one.note === null ? [] : [`${one.ref}: ${one.note}`]));
  return [paint.dim(lines[0] ?? ''), ...lines.slice(1), ...notes, ...(pool === null ? [] : [paint.dim(roomOf(pool))])].join('\n');
}

function cells(one: VolumeView, now: number): string[] {
  const egress = one.kind === 'fork' && one.egress === 'any' ? ', goes out' : '';
  return [
    one.state + egress,
    one.own === null ? '–' : formatBytes(one.own),
    one.shared === null ? '–' : formatBytes(one.shared),
    one.owner,
    formatSeconds((now - Date.parse(one.created)) / 1000),
    one.expires === null ? '–' : formatTime(one.expires, new Date(now)),
  ];
}

function roomOf(pool: NonNullable<Output<'app.list'>['pool']>): string {
  const more = Math.max(0, pool.free - pool.floor);
  return `pool ${formatBytes(pool.used)} of ${formatBytes(pool.size)} · forks may write ${formatBytes(more)} more · floor ${formatBytes(pool.floor)}`;
}
