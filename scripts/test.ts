// Everything there is, as root: `test.ts all|attacks [FILE…]`. Two files at a time; then what they left behind.

import { randomUUID } from 'node:crypto';
import { globSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { difference, isOurs, RUN_MARK, snapshot, type Snapshot } from './leftovers.ts';
import { ok } from './ok.ts';
import { close, report, ROOT, run, tests, type Outcome } from './parts.ts';

/** Milliseconds that one file may take. The one that kills the daemon at every step takes longest. */
const FILE_DEADLINE = 300_000;
const AT_ONCE = 2;
/** Kernel and daemons take a moment to let go of mounts, loop devices and namespaces. */
const SETTLE = 15_000;

const ATTACKS = ['test/attacks/*.test.ts'];
const ALL = ['src/**/*.root.test.ts', 'test/e2e/*.test.ts', ...ATTACKS];

async function main(what: string, files: readonly string[]): Promise<void> {
  if (process.getuid?.() !== 0) {
    console.error('These tests make real mounts, cells and networks: run them as root. Without root: ./run ok');
    process.exitCode = 2;
    return;
  }
  const started = performance.now();
  const mark = randomUUID();
  process.env[RUN_MARK] = mark;
  const before = snapshot(mark);
  const outcomes: Outcome[] = [];
  if (what === 'all' && files.length === 0) outcomes.push(...(await ok()));
  const chosen = files.length > 0 ? files : globSync(what === 'all' ? ALL : ATTACKS, { cwd: ROOT }).sort();
  outcomes.push(...(await runFiles(chosen)));
  if (what === 'all' && files.length === 0) outcomes.push(await demo());
  outcomes.push(await leftovers(before, mark));
  close(outcomes, started);
}

async function runFiles(files: readonly string[]): Promise<Outcome[]> {
  const waiting = [...files];
  const outcomes: Outcome[] = [];
  const worker = async () => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      const outcome = await tests(file, [file], FILE_DEADLINE);
      report(outcome);
      outcomes.push(outcome);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return outcomes;
}

interface DemoResult {
  attempts: { name: string; expected: string; outcome: string }[];
  production: { rows_lost: number; writes_failed: number };
}

// The demo's last line is one JSON document: every attempt as expected, nothing lost.
async function demo(): Promise<Outcome> {
  const ended = await run(process.execPath, ['drills/demo.ts', '--json'], FILE_DEADLINE);
  let output = ended.output;
  let good = false;
  try {
    // The shape is the demo's own contract; what does not have it fails below.
    const result = JSON.parse(ended.stdout.trimEnd().split('\n').at(-1) ?? '') as DemoResult;
    const unexpected = result.attempts.filter((attempt) => attempt.outcome !== attempt.expected);
    const lost = result.production.rows_lost + result.production.writes_failed;
    good = ended.code === 0 && result.attempts.length > 0 && unexpected.length === 0 && lost === 0;
  } catch (error) {
    output += `the last line is not the result: ${String(error)}\n`;
  }
  const outcome = { name: 'demo', passed: good ? 1 : 0, failed: good ? 0 : 1, ms: ended.ms, output };
  report(outcome);
  return outcome;
}

// In CI nothing else runs, so everything new is a leftover; elsewhere only what bears our name.
async function leftovers(before: Snapshot, mark: string): Promise<Outcome> {
  const started = performance.now();
  const strict = process.env['CI'] === 'true';
  let left: string[] = [];
  do {
    left = difference(before, snapshot(mark)).filter((line) => strict || line.startsWith('process ') || isOurs(line));
    if (left.length > 0) await pause(500);
  } while (left.length > 0 && performance.now() - started < SETTLE);
  const good = left.length === 0;
  const outcome = {
    name: 'nothing left behind',
    passed: good ? 1 : 0,
    failed: good ? 0 : 1,
    ms: performance.now() - started,
    output: left.join('\n'),
  };
  report(outcome);
  return outcome;
}

await main(process.argv[2] ?? 'all', process.argv.slice(3));
