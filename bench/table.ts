import type { Row } from './snapshot.ts';

/** The machine that figures were taken on. */
export interface Measured {
  date: string;
  cpu: string;
  cores: number;
  memory: number;
  kernel: string;
  node: string;
}

/** Rows as a Markdown table: what the bench prints, and what the README has. */
export function markdown(rows: readonly Row[]): string {
  const lines = rows.map((row) => {
    const goal = row.goal === null ? '–' : `${row.goal}: ${row.met === true ? 'met' : 'missed'}`;
    return `| ${row.name} | ${digits(row.p50)} ${row.unit} | ${digits(row.p99)} ${row.unit} | ${row.n} | ${row.beside ?? '–'} | ${goal} |`;
  });
  return [
    '| what | p50 | p99 | n | beside, in the same run | goal |',
    '| --- | --- | --- | --- | --- | --- |',
    ...lines,
  ].join('\n');
}

export function footer(machine: Measured): string {
  const memory = `${Math.round(machine.memory / 2 ** 30)} GiB`;
  return `${machine.date}, a virtual machine with ${machine.cores} cores of ${machine.cpu} and ${memory}, Linux ${machine.kernel.split('-')[0]}, Node ${machine.node}`;
}

function digits(value: number): string {
  if (value >= 100 || Number.isInteger(value)) return value.toFixed(0);
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}
