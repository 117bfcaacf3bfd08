import type { VolumeView } from '../contract/app.ts';
import { escapeText } from '../contract/names.ts';
import type { Output } from '../contract/operations.ts';
import { formatBytes, formatSeconds } from '../contract/units.ts';
import type { Look } from './context.ts';
import { shown } from './perform.ts';
import { table, type Cell } from './terminal/table.ts';
import { when } from './terminal/times.ts';

type Pool = NonNullable<Output<'app.list'>['pool']>;

/** `ls`: apps, their forks below them, and the room that is left. */
export const ls = shown('app.list', lines);

function lines({ volumes, pool }: Output<'app.list'>, look: Look): string[] {
  const foot = pool === null ? [] : [look.paint.dim(poolLine(pool))];
  if (volumes.length === 0) return ['There is no app yet.', '  bulkhead create shop --from ./shop', ...foot];
  return [...treeLines(volumes, look), ...foot];
}

const HEAD = ['app / fork', 'state', 'own', 'shared', 'owner', 'age', 'goes'];

/** Apps and forks as a table whose first column is a tree. */
export function treeLines(volumes: readonly VolumeView[], look: Look): string[] {
  const placed = arrange(volumes);
  const rows = placed.map(({ volume, branch }) => [
    { text: branch + volume.ref, paint: (text: string) => text },
    ...cells(volume, look),
  ]);
  const notes = volumes.flatMap((volume) => notesOf(volume).map((note) => `${escapeText(volume.ref)}: ${note}`));
  return [...table(rows, { head: HEAD, paintHead: look.paint.dim, width: look.width }), ...notes];
}

interface Placed {
  volume: VolumeView;
  branch: string;
}

/** Each app before its forks, each fork below what it was made from while that exists, else below its app. */
export function arrange(volumes: readonly VolumeView[]): Placed[] {
  const refs = new Set(volumes.map((volume) => volume.ref));
  const below = new Map<string, VolumeView[]>();
  const roots: VolumeView[] = [];
  for (const volume of volumes) {
    const app = volume.ref.split(':')[0] ?? '';
    const over =
      volume.parent !== null && volume.parent !== volume.ref && refs.has(volume.parent) ? volume.parent : app;
    if (volume.kind === 'app' || !refs.has(over)) roots.push(volume);
    else below.set(over, [...(below.get(over) ?? []), volume]);
  }
  const place = (volume: VolumeView, line: string, branch: string): Placed[] => {
    const forks = below.get(volume.ref) ?? [];
    below.delete(volume.ref);
    return [
      { volume, branch },
      ...forks.flatMap((fork, at) => {
        const last = at === forks.length - 1;
        return place(fork, `${line}${last ? '   ' : '│  '}`, `${line}${last ? '└─ ' : '├─ '}`);
      }),
    ];
  };
  return roots.flatMap((root) => place(root, '', ''));
}

function cells(volume: VolumeView, look: Look): Cell[] {
  const age = (look.now - Date.parse(volume.created)) / 1000;
  return [
    { text: volume.state, paint: paintOf(volume.state, look) },
    volume.own === null ? '–' : formatBytes(volume.own),
    volume.shared === null ? '–' : formatBytes(volume.shared),
    volume.owner,
    formatSeconds(age),
    volume.expires === null ? '' : when(volume.expires, look.now),
  ];
}

function paintOf(state: VolumeView['state'], { paint }: Look): (text: string) => string {
  if (state === 'up') return paint.good;
  return state === 'failed' || state === 'frozen' ? paint.bad : (text) => text;
}

function notesOf(volume: VolumeView): string[] {
  return [
    ...(volume.note === null ? [] : [escapeText(volume.note)]),
    ...(volume.kind === 'fork' && volume.egress === 'any' ? ['has a way out of its network (fork.egress: any)'] : []),
  ];
}

/** `pool 171 GiB of 400 GiB · forks may write 96 GiB more · floor 20 GiB` */
export function poolLine(pool: Pool): string {
  const more = formatBytes(Math.max(0, pool.free - pool.floor));
  return `pool ${formatBytes(pool.used)} of ${formatBytes(pool.size)} · forks may write ${more} more · floor ${formatBytes(pool.floor)}`;
}
