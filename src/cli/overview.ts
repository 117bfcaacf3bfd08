import { AppError } from '../contract/errors.ts';
import { escapeText } from '../contract/names.ts';
import type { Output } from '../contract/operations.ts';
import { lookOf, type Context, type Look } from './context.ts';
import { poolLine, treeLines } from './ls.ts';
import { wrap } from './terminal/text.ts';

/** Apps and forks that are shown: all of it has to fit a screen. */
const MOST = 14;

const PROMISE = 'Bulkhead: production in apps, agents in forks of them, kernel walls in between.';

/** `bulkhead` alone: what is there, and the likely next command. */
export async function overview(context: Context): Promise<number> {
  const { client, terminal } = context;
  const look = lookOf(context, { verbose: false });
  const [status, list, who] = await Promise.all([
    client.call('machine.status', {}).catch(absent),
    client.call('app.list', {}).catch(absent),
    client.call('caller.show', {}).catch(absent),
  ]);
  if (status !== undefined && (!status.enrolled || status.pool === null)) terminal.print(notSetUp(status));
  else terminal.print([...state(list, status, look), '', ...nextLines(list, who)]);
  return 0;
}

/** What the caller may not see is left out; that nobody answers is an error. */
function absent(error: unknown): undefined {
  if (error instanceof AppError && error.code !== 'no-daemon') return undefined;
  throw error;
}

function notSetUp(status: Output<'machine.status'>): string[] {
  return [
    PROMISE,
    '',
    status.pool === null
      ? `The daemon runs, and has no pool: ${escapeText(status.poolNote ?? 'none was made')}.`
      : 'The daemon runs, and nobody has enrolled a second factor.',
    '  sudo bulkhead init        make the pool and enrol a person',
    '  bulkhead doctor           what this machine needs',
    '  bulkhead help',
  ];
}

function state(
  list: Output<'app.list'> | undefined,
  status: Output<'machine.status'> | undefined,
  look: Look,
): string[] {
  const volumes = list?.volumes ?? [];
  const more = volumes.length - MOST;
  return [
    ...(volumes.length === 0 ? [PROMISE, '', 'There is no app yet.'] : treeLines(volumes.slice(0, MOST), look)),
    ...(more > 0 ? [look.paint.dim(`… ${more} more: bulkhead ls`)] : []),
    ...(list === undefined || list.pool === null ? [] : [look.paint.dim(poolLine(list.pool))]),
    ...(status?.notes ?? []).flatMap((note) =>
      wrap(`${look.paint.warn('!')} ${escapeText(note)}`, look.width ?? 100, '  '),
    ),
  ];
}

/** The commands that whoever asks is likely to want now. */
function nextLines(list: Output<'app.list'> | undefined, who: Output<'caller.show'> | undefined): string[] {
  const volumes = list?.volumes ?? [];
  const app = volumes.find((volume) => volume.kind === 'app');
  const fork = volumes.findLast((volume) => volume.kind === 'fork');
  const person = who?.caller === 'person';
  const agent = who !== undefined && who.agent !== null;
  const lines: [string, string][] = [];
  if (app === undefined) {
    if (!person && !agent) lines.push(['bulkhead sign-in', 'show that you are a person; apps are theirs to make']);
    lines.push(['bulkhead create shop --from ./shop', 'make an app of a directory']);
  } else {
    lines.push([`bulkhead fork ${app.ref}:fix`, 'a full copy, in milliseconds, that may be broken']);
    if (fork !== undefined) lines.push([`bulkhead shell ${fork.ref}`, 'work in a fork']);
    if (!person && !agent) lines.push(['bulkhead sign-in', 'to change production yourself']);
  }
  lines.push(['bulkhead whoami', 'what you may do'], ['bulkhead help', 'all commands']);
  const width = Math.max(...lines.map(([command]) => command.length));
  return lines.map(([command, what]) => `  ${command.padEnd(width)}   ${what}`);
}
