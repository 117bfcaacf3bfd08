import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { makeMachine, makeTree, run, type Machine } from '../test/builders/machine.ts';
import type { BenchOptions, Row } from './snapshot.ts';
import { median, rowOf } from './times.ts';

/**
 * Whole commands, each from a fresh process to its end on an idle pool: a fork that is
 * ready, a command in a cell that is up, a cell from nothing. Beside them, in the same
 * run: a bare Node that does nothing, and `cp -a` of the same files.
 */
export async function rows(options: BenchOptions): Promise<Row[]> {
  const count = options.quick ? 15 : 60;
  const machine = await makeMachine({ size: '2G' });
  const tree = await makeTree(
    Object.fromEntries(Array.from({ length: 200 }, (_, at) => [`files/${at}.txt`, 'x'.repeat(10_000)])),
  );
  try {
    const person = await machine.person();
    const made = await person.bulkhead(`create shop --from ${tree}`);
    assert.equal(made.code, 0, made.stderr);
    await person.leave();
    const bare = await times(count, () => run(process.execPath, ['-e', '0']));
    const copy = await times(count, (at) => run('/usr/bin/cp', ['-a', tree, `${tree}-${at}`]));
    for (let at = 0; at < count; at += 1) await rm(`${tree}-${at}`, { recursive: true, force: true });
    const forks = await timeForks(machine, count);
    await machine.cli('fork', 'shop:x');
    await machine.cli('exec', 'shop:x', '--', 'true');
    const execs = await times(count, () => machine.cli('exec', 'shop:x', '--', 'true'));
    const cells = await timeCells(machine, count);
    const node = `bare Node ${median(bare).toFixed(0)} ms`;
    return [
      rowOf('`bulkhead fork`, fresh process to ready', forks, {
        goal: 120,
        beside: `${node}; cp -a of its 200 files ${median(copy).toFixed(0)} ms`,
      }),
      rowOf('`bulkhead exec shop:x -- true`, cell up', execs, { goal: 100, beside: node }),
      rowOf('cell from nothing to first instruction, network included', cells, { goal: 100 }),
    ];
  } finally {
    await machine.remove();
    await rm(tree, { recursive: true, force: true });
  }
}

async function times(
  count: number,
  one: (at: number) => Promise<{ code: number; ms: number; stderr: string }>,
): Promise<number[]> {
  const found: number[] = [];
  for (let at = 0; at < count; at += 1) {
    const ran = await one(at);
    assert.equal(ran.code, 0, ran.stderr);
    found.push(ran.ms);
  }
  return found;
}

/** At most eight forks at once: the quota of a uid is ten. What it takes to remove them is not part of a fork. */
async function timeForks(machine: Machine, count: number): Promise<number[]> {
  const found: number[] = [];
  for (let at = 0; at < count; at += 1) {
    found.push(...(await times(1, () => machine.cli('fork', `shop:f${at % 8}`))));
    if (at % 8 === 7) for (let old = 0; old < 8; old += 1) await machine.cli('rm', `shop:f${old}`);
  }
  for (let old = 0; old < 8; old += 1) await machine.cli('rm', `shop:f${old}`);
  return found;
}

/** `up` of a fork without hooks is the cell and nothing else; the step's own time is taken, the daemon's. */
async function timeCells(machine: Machine, count: number): Promise<number[]> {
  const found: number[] = [];
  for (let at = 0; at < count; at += 1) {
    await machine.cli('down', 'shop:x');
    const { timings } = await machine.json<{ timings: { step: string; ms: number }[] }>('up', 'shop:x');
    found.push(timings.find((one) => one.step === 'cell.start')?.ms ?? Number.NaN);
  }
  return found;
}
