import type { Output } from '../../contract/operations.ts';
import type { Context } from '../context.ts';
import { table } from '../terminal.ts';

type Changes = Output<'config.diff'>['changes'];

/** What a proposal changes, a key a line. */
export function showChanges(context: Context, changes: Changes): void {
  const value = (part: unknown): string => (part === null || part === undefined ? '–' : typeof part === 'string' ? part : JSON.stringify(part));
  const rows = changes.map((change) => [`  ${change.key}`, value(change.accepted), '→', value(change.proposed)]);
  context.process.stdout.write(rows.length === 0 ? '  nothing that differs from what counts\n' : `${table(rows)}\n`);
}
