import { escapeText } from '../contract/names.ts';

/** Colours, where they help: on a terminal, and not against NO_COLOR. */
export interface Paint {
  good(text: string): string;
  bad(text: string): string;
  warn(text: string): string;
  dim(text: string): string;
  bold(text: string): string;
}

export function paintFor(stream: { isTTY?: boolean }, environment: Readonly<Record<string, string | undefined>>): Paint {
  const on = stream.isTTY === true && (environment['NO_COLOR'] ?? '') === '' && environment['TERM'] !== 'dumb';
  const paint = (code: number) => (text: string) => (on ? `\u001b[${code}m${text}\u001b[0m` : text);
  return { good: paint(32), bad: paint(31), warn: paint(33), dim: paint(2), bold: paint(1) };
}

/** Rows as columns that line up; what comes from elsewhere is escaped, the last column is cut at the width. */
export function table(rows: readonly (readonly string[])[], width = 100): string {
  const clean = rows.map((row) => row.map(escapeText));
  const columns = Math.max(0, ...clean.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, at) => Math.max(...clean.map((row) => row[at]?.length ?? 0)));
  return clean
    .map((row) => {
      const line = row.map((cell, at) => (at === row.length - 1 ? cell : cell.padEnd(widths[at] ?? 0))).join('  ').trimEnd();
      return line.length > width ? `${line.slice(0, width - 1)}…` : line;
    })
    .join('\n');
}

/** A moment as people of this machine read it: `14:32`, `tomorrow 14:32`, `2026-12-03 14:32`. */
export function formatTime(iso: string, now = new Date()): string {
  const date = new Date(iso);
  const time = date.toTimeString().slice(0, 5);
  const day = (from: Date): number => Math.floor((from.getTime() - from.getTimezoneOffset() * 60_000) / 86_400_000);
  const distance = day(date) - day(now);
  if (distance === 0) return time;
  if (distance === 1) return `tomorrow ${time}`;
  if (distance === -1) return `yesterday ${time}`;
  const pad = (part: number): string => String(part).padStart(2, '0');
  return `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())} ${time}`;
}
