import { escapeText } from '../../contract/names.ts';
import { cut } from './text.ts';

/** A cell of a table: text from anywhere, and how it is painted once it has its width. */
export type Cell = string | { text: string; paint: (text: string) => string };

export interface TableOptions {
  head?: readonly string[];
  paintHead?: (text: string) => string;
  /** Columns that are set to the right. */
  right?: readonly number[];
  /** The last column is cut here; absent: it is not. */
  width?: number | undefined;
  /** Columns are at least so wide: for rows that come one by one. */
  least?: readonly number[];
  indent?: string;
}

const GAP = '  ';

/** Columns as wide as what is in them. All text is escaped here. */
export function table(rows: readonly (readonly Cell[])[], options: TableOptions = {}): string[] {
  const { head, paintHead = (text: string) => text, right = [], width, least = [], indent = '' } = options;
  const shown = rows.map((row) => row.map(toShown));
  const all = head === undefined ? shown : [head.map((text) => ({ text, paint: paintHead })), ...shown];
  const widths: number[] = [...least];
  for (const row of all)
    for (const [at, cell] of row.entries()) widths[at] = Math.max(widths[at] ?? 0, cell.text.length);
  return all.map((row) => {
    let used = indent.length;
    const cells = row.map((cell, at) => {
      const last = at === row.length - 1;
      const text = last && width !== undefined ? cut(cell.text, Math.max(8, width - used)) : cell.text;
      used += (widths[at] ?? 0) + GAP.length;
      const space = ' '.repeat(Math.max(0, (widths[at] ?? 0) - text.length));
      if (right.includes(at)) return space + cell.paint(text);
      return last ? cell.paint(text) : cell.paint(text) + space;
    });
    return (indent + cells.join(GAP)).trimEnd();
  });
}

const toShown = (cell: Cell): { text: string; paint: (text: string) => string } =>
  typeof cell === 'string'
    ? { text: escapeText(cell), paint: (text) => text }
    : { text: escapeText(cell.text), paint: cell.paint };
