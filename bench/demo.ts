import assert from 'node:assert/strict';
import path from 'node:path';
import { ROOT, run } from '../test/builders/machine.ts';
import type { BenchOptions, Row } from './snapshot.ts';
import { rowOf } from './times.ts';

interface Ended {
  attempts: { name: string; expected: string; outcome: string }[];
  production: { rows_lost: number; writes_failed: number; rows_before: number; writes_acknowledged: number };
  timings_ms: Record<string, number>;
}

/** The demonstration, a few times: what was lost, and the times beside those of the article that it answers. */
export async function rows(options: BenchOptions): Promise<Row[]> {
  const runs: Ended[] = [];
  for (let at = 0; at < (options.quick ? 1 : 3); at += 1) {
    const ran = await run(process.execPath, [path.join(ROOT, 'drills/demo.ts'), '--json'], { deadline: 240_000 });
    assert.equal(ran.code, 0, ran.stderr);
    runs.push(JSON.parse(ran.stdout.trim().split('\n').at(-1) ?? '') as Ended);
  }
  const times = (name: string): number[] => runs.map((one) => one.timings_ms[name] ?? Number.NaN);
  const sum = (of: (one: Ended) => number): number => runs.reduce((total, one) => total + of(one), 0);
  const count = (name: string, value: number, beside: string | null): Row => ({
    name,
    unit: '',
    n: runs.length,
    p50: value,
    p99: value,
    beside,
    goal: null,
    met: null,
  });
  const size = `${(runs[0]?.production.rows_before ?? 0).toLocaleString('en')} rows`;
  return [
    rowOf(`demonstration: the copy of a PostgreSQL of ${size} that is written to`, times('fork_copy'), {
      beside: 'published for a reflink of 128 GB: 2.3 s',
    }),
    rowOf("demonstration: the agent's `fork --up`, from the command to rows", times('fork_total'), {
      beside: 'published for 128 GB, without a start: 7.2 s',
    }),
    count(
      'demonstration: attempts on production that did not end as expected',
      sum((one) => one.attempts.filter((each) => each.expected !== each.outcome).length),
      `of ${sum((one) => one.attempts.length)}`,
    ),
    count(
      'demonstration: rows lost',
      sum((one) => one.production.rows_lost),
      null,
    ),
    count(
      'demonstration: writes to production that failed',
      sum((one) => one.production.writes_failed),
      `of ${sum((one) => one.production.writes_acknowledged).toLocaleString('en')}`,
    ),
  ];
}
