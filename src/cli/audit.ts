import type { AuditRecord } from '../contract/authority.ts';
import { escapeText } from '../contract/names.ts';
import { commandOf } from './spec.ts';
import { lookOf, type Look, type Run } from './context.ts';
import { shown } from './perform.ts';
import { follow } from './follow.ts';
import { table } from './terminal/table.ts';
import { stamp } from './terminal/times.ts';
import { count } from './terminal/text.ts';

/** `audit log`: what was asked, by whom, and what came of it. */
export const log = shown('audit.log', ({ records }, look) =>
  records.length === 0 ? ['There is no record that you may see.'] : recordLines(records, look, HEAD),
);

const HEAD = ['at', 'who', 'asked', 'of', 'came of it'];
/** For records that come one by one: what most of them need. */
const LEAST = [19, 24, 9, 12];

function recordLines(records: readonly AuditRecord[], look: Look, head?: readonly string[]): string[] {
  const rows = records.map((record) => [
    stamp(record.at),
    whoOf(record),
    commandOf(record.operation),
    record.target ?? '–',
    {
      text: outcomeOf(record, look),
      paint: record.outcome === 'refused' || record.outcome === 'failed' ? look.paint.bad : (text: string) => text,
    },
  ]);
  const one = head === undefined ? { least: LEAST } : { head };
  return table(rows, { paintHead: look.paint.dim, width: look.width, ...one });
}

const whoOf = ({ caller }: AuditRecord): string =>
  `${caller.kind} ${caller.name}${caller.pid === null ? '' : ` (${caller.pid})`}`;

function outcomeOf(record: AuditRecord, { verbose }: Look): string {
  const what = record.phase === 'intent' ? 'begins' : record.outcome;
  const code = record.code === null || record.code === what ? '' : `: ${record.code}`;
  const given = givenOf(record.arguments, verbose);
  return verbose ? `${what}${code}${given}  ${record.request}` : `${what}${code}${given}`;
}

/** What it was asked with: a command as it was typed, and of the rest what the column before does not say. */
function givenOf(value: unknown, verbose: boolean): string {
  if (typeof value !== 'object' || value === null) return '';
  const { command, ...others } = value as Record<string, unknown>;
  const rest = Object.fromEntries(Object.entries(others).filter(([name]) => name !== 'ref'));
  const words = Array.isArray(command) ? [command.join(' ')] : [];
  const more = verbose ? [JSON.stringify(value)] : Object.keys(rest).length > 0 ? [JSON.stringify(rest)] : [];
  return [...words, ...more].map((text) => `  ${text}`).join('');
}

/** `audit tail`: records as they are written, one JSON object a line on the stream. */
export const tail: Run<'audit.tail'> = async (context, input, flags) => {
  const look = lookOf(context, flags);
  let rest = '';
  await follow(context, 'audit.tail', input, (_channel, bytes) => {
    const lines = (rest + Buffer.from(bytes).toString('utf8')).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const record = JSON.parse(line) as AuditRecord;
      if (flags.json) context.terminal.json({ type: 'record', record });
      else context.terminal.print(recordLines([record], look));
    }
  });
  if (flags.json) context.terminal.json({ type: 'result', result: {} });
  return 0;
};

/** `audit verify`: ends with 1 where the log is not what was written. */
export const verify = shown(
  'audit.verify',
  ({ intact, records, finding }, { paint }) => [
    intact
      ? `${paint.good('✔')} intact: ${count(records, 'record')}`
      : `${paint.bad('✘')} not intact: ${escapeText(finding ?? 'a record is not what was written')} (${count(records, 'record')} checked)`,
  ],
  ({ intact }) => (intact ? 0 : 1),
);
