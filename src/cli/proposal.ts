import { AppError } from '../contract/errors.ts';
import { escapeText } from '../contract/names.ts';
import type { Output } from '../contract/operations.ts';
import type { Context, Flags } from './context.ts';
import { perform } from './perform.ts';
import { canAsk } from './terminal/prompt.ts';
import { wrap } from './terminal/text.ts';
import { valueText } from './value.ts';

type Changes = Output<'config.diff'>['changes'];

/** Shows what an app's bulkhead.yaml asks for, and takes the code that accepts exactly that; true: it was. */
export async function offerProposal(context: Context, ref: string, flags: Flags): Promise<boolean> {
  const { terminal, client } = context;
  if (flags.json && flags.code === undefined) return false;
  try {
    const { changes, hash } = await client.call('config.diff', { ref });
    if (hash === null) return false;
    if (!flags.json) terminal.say(asksLines(changes, terminal.widthError ?? 100));
    if (flags.code === undefined && !canAsk(terminal)) return false;
    await perform(context, 'config.accept', { ref, hash }, flags, { question: 'Code, to accept that: ' });
    return true;
  } catch (error) {
    // The app exists all the same: what stands in the way of its file is said, and is mended apart.
    if (!(error instanceof AppError)) throw error;
    if (!flags.json)
      terminal.say(
        wrap(
          `${terminal.paintError.warn('!')} its bulkhead.yaml does not count yet: ${escapeText(error.message)}`,
          terminal.widthError ?? 100,
          '  ',
        ),
      );
    return false;
  }
}

const asksLines = (changes: Changes, width: number): string[] =>
  wrap(`bulkhead.yaml asks for: ${asksFor(changes)}`, width - 4, '  ').map((line) => `  ${line}`);

/** `port 80 → 8080 on this machine; hooks up, down, health`: what opens something first. */
export function asksFor(changes: Changes): string {
  const asked = new Map(
    changes.filter(({ proposed }) => proposed !== null).map(({ key, proposed }) => [key, proposed]),
  );
  const take = (key: string): unknown => {
    const value = asked.get(key);
    asked.delete(key);
    return value;
  };
  const ports = list(take('ports')).map((port) => `port ${port.replace(/:(\d+)$/, ' → $1')} on this machine`);
  const paths = list(take('paths')).map((path) => `${path} of this machine, to read`);
  const egress = take('fork.egress') === 'any' ? ['forks that reach the network'] : [];
  const hooks = ['up', 'down', 'health'].filter((name) => take(`hooks.${name}`) !== undefined);
  const fork = ['prepare', 'cleanup'].filter((name) => take(`fork.${name}`) !== undefined);
  for (const key of asked.keys()) if (key.startsWith('content.')) asked.delete(key);
  const all = [...hooks, ...fork];
  const parts = [
    ...ports,
    ...paths,
    ...egress,
    ...(all.length === 0 ? [] : [`hooks ${all.join(', ')}`]),
    ...[...asked].map(([key, value]) => `${key} ${valueText(key, value)}`),
  ];
  return parts.length === 0 ? 'nothing beyond the defaults' : escapeText(parts.join('; '));
}

const list = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : []);
