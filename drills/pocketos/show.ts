// What a person sees of the demo. With --json nothing but the last line.

import { setTimeout as wait } from 'node:timers/promises';

export interface Show {
  /** A new scene: its title, and a line or two of what it is about. */
  scene(title: string, ...text: string[]): Promise<void>;
  /** A command that somebody types. */
  command(who: string, line: string): Promise<void>;
  /** What a program answered, as it stands. */
  output(text: string): void;
  say(text: string): void;
  /** Lines that fit already. */
  show(text: string): void;
  /** Characters of a line. */
  columns: number;
  pause(ms: number): Promise<void>;
}

/** `paced`: a person watches, and needs a moment for each thing. */
export function createShow(options: { silent: boolean; paced: boolean; color: boolean; columns: number }): Show {
  const paint = (code: number, text: string): string => (options.color ? `\u001b[${code}m${text}\u001b[0m` : text);
  const print = (text: string): void => {
    if (!options.silent) process.stdout.write(`${text}\n`);
  };
  const say = (text: string): void => wrap(text, options.columns).forEach(print);
  const pause = async (ms: number): Promise<void> => {
    if (options.paced) await wait(ms);
  };
  return {
    columns: options.columns,
    pause,
    say,
    show: print,
    async scene(title, ...text) {
      print(`\n${paint(1, title)}`);
      text.forEach(say);
      await pause(1200);
    },
    async command(who, line) {
      print(`  ${paint(36, `${who} $`)} ${line}`);
      await pause(700);
    },
    output(text) {
      const trimmed = text.replace(/\s+$/, '');
      if (trimmed === '') return;
      for (const line of trimmed.split('\n').flatMap((one) => wrap(one.trimEnd(), options.columns - 4)))
        print(`    ${paint(2, line)}`);
    },
  };
}

/** Cut at spaces; what follows stands under the first word. */
function wrap(line: string, width: number): string[] {
  const indent = /^\s*/.exec(line)?.[0] ?? '';
  const lines: string[] = [];
  for (let rest = line; ;) {
    const at = rest.length <= width ? -1 : rest.lastIndexOf(' ', width);
    if (at <= indent.length) return [...lines, rest];
    lines.push(rest.slice(0, at));
    rest = indent + rest.slice(at + 1);
  }
}

/** Columns as wide as their widest cell, the last one cut to what is left; the first row is the head. */
export function table(rows: readonly (readonly string[])[], columns: number): string {
  const head = rows[0] ?? [];
  const wide = head.map((_, at) => Math.max(...rows.map((row) => (row[at] ?? '').length)));
  const left = columns - 2 - wide.slice(0, -1).reduce((sum, width) => sum + width + 2, 0);
  const widths = [...wide.slice(0, -1), Math.min(wide.at(-1) ?? 0, Math.max(20, left))];
  const line = (row: readonly string[]): string[] => {
    const [first = '', ...more] = wrap(row.at(-1) ?? '', widths.at(-1) ?? 20);
    const front = row
      .slice(0, -1)
      .map((cell, at) => `${cell.padEnd(widths[at] ?? 0)}  `)
      .join('');
    return [front + first, ...more.map((text) => ' '.repeat(front.length) + text)];
  };
  const rule = widths.map((width) => '─'.repeat(width)).join('  ');
  return [...line(head), rule, ...rows.slice(1).flatMap(line)].map((text) => `  ${text.trimEnd()}`).join('\n');
}
