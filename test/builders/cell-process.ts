// A process that uses the cells of an instance until it is killed: what a daemon is to them.
// cell-process.ts ACTION INSTANCE CELL [SESSION]

import { parseId } from '../../src/core/ids.ts';
import { makeCell } from './cell.ts';

const [action = '', name = '', cell = '', session = ''] = process.argv.slice(2);
const id = parseId(cell);
if (id === undefined) throw new Error(`"${cell}" is no id`);
const bench = makeCell(name, { id, idBase: 0x7ff0_0000 });

if (action === 'start') {
  process.stdout.write('begins\n');
  await bench.cells.start(bench.spec);
  process.stdout.write('up\n');
} else {
  const opened = parseId(session);
  if (opened === undefined) throw new Error(`"${session}" is no id`);
  const command = ['sh', '-c', 'while read -r line; do echo "got $line"; done; echo end; exit 5'];
  await bench.cells.start(bench.spec);
  const made = await bench.cells.open({ cell: id, id: opened, command, user: 'agent', stdin: true, log: 0 });
  made.stdout.on('data', (chunk: Buffer) => process.stdout.write(chunk));
  made.stdin.write('first\n');
}
// Until it is killed.
setInterval(() => {}, 1000);
