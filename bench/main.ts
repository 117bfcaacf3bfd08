// ./run bench [NAME] [--quick] [--json]: what is measured, side by side with what a user would take instead.
// Writes bench/results/<name>.json and prints a table. Needs root; makes machines of its own and takes them down.
import { mkdir, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import * as commands from './commands.ts';
import * as demo from './demo.ts';
import * as postgres from './postgres.ts';
import * as snapshot from './snapshot.ts';
import type { BenchOptions, Row } from './snapshot.ts';
import { footer, markdown } from './table.ts';

const BENCHES: Record<string, (options: BenchOptions) => Promise<Row[]>> = {
  snapshot: snapshot.rows,
  commands: commands.rows,
  postgres: postgres.rows,
  demo: demo.rows,
};

const RESULTS = fileURLToPath(new URL('results', import.meta.url));

async function main(): Promise<void> {
  const words = process.argv.slice(2);
  const json = words.includes('--json');
  const names = words.filter((word) => !word.startsWith('--'));
  const unknown = names.find((name) => !(name in BENCHES));
  if (unknown !== undefined) {
    process.stderr.write(`There is no bench "${unknown}": ${Object.keys(BENCHES).join(', ')}\n`);
    process.exit(2);
  }
  const machine = {
    date: new Date().toISOString().slice(0, 10),
    cpu: os.cpus()[0]?.model ?? '?',
    cores: os.availableParallelism(),
    memory: os.totalmem(),
    kernel: os.release(),
    node: process.version,
  };
  const all: Row[] = [];
  for (const name of names.length > 0 ? names : Object.keys(BENCHES)) {
    const rows = await (BENCHES[name] as (typeof BENCHES)[string])({ quick: words.includes('--quick') });
    all.push(...rows);
    await mkdir(RESULTS, { recursive: true });
    await writeFile(path.join(RESULTS, `${name}.json`), `${JSON.stringify({ machine, rows }, null, 2)}\n`);
  }
  if (json) process.stdout.write(`${JSON.stringify({ machine, rows: all })}\n`);
  else
    process.stdout.write(`${markdown(all)}

${footer(machine)}
`);
}

await main();
