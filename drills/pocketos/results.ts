// What came of it: the table for people, and the document for programs.

import { formatBytes, formatMs } from '../../src/contract/units.ts';
import { table } from './show.ts';

/** What Rediacc published of its own replay, on its own machine, in milliseconds. */
const ARTICLE = { copy: 2300, whole: 7200, size: '128 GB' } as const;

export interface Attempt {
  name: string;
  expected: string;
  outcome: string;
  stopped_by: string;
}

export interface Results {
  attempts: Attempt[];
  attempt(name: string, expected: string, outcome: string, stoppedBy: string): void;
  /** Milliseconds of each fork and its parts. */
  forks: { ref: string; total: number; copy: number; cell: number; start: number; rest: number }[];
  before: { rows: number; size: number };
  after: { rows: number; acknowledged: number; kept: number; failed: number; slowest: number };
  audit: { intact: boolean; refusals: number };
}

export function createResults(): Results {
  const attempts: Attempt[] = [];
  return {
    attempts,
    attempt: (name, expected, outcome, stoppedBy) =>
      void attempts.push({ name, expected, outcome, stopped_by: stoppedBy }),
    forks: [],
    before: { rows: 0, size: 0 },
    after: { rows: 0, acknowledged: 0, kept: 0, failed: 0, slowest: 0 },
    audit: { intact: false, refusals: 0 },
  };
}

/** Rows that were there before and are not, and acknowledged writes that are not. */
export const rowsLost = ({ before, after }: Results): number =>
  Math.max(0, before.rows - after.rows) + Math.max(0, after.acknowledged - after.kept);

/** What is not as it should be, in words. */
export function faults(results: Results): string[] {
  const refusals = results.attempts.filter(
    (attempt) => attempt.expected === 'refused' && attempt.name !== BY_PATH,
  ).length;
  return [
    ...results.attempts
      .filter((one) => one.outcome !== one.expected)
      .map((one) => `${one.name}: ${one.outcome}, not ${one.expected}`),
    ...(results.attempts.length === 0 ? ['nothing was tried'] : []),
    ...(rowsLost(results) > 0 ? [`${rowsLost(results)} rows lost`] : []),
    ...(results.after.failed > 0 ? [`${results.after.failed} writes failed`] : []),
    ...(results.after.acknowledged === 0 ? ['nothing was written'] : []),
    ...(results.audit.intact ? [] : ['the audit log is not intact']),
    ...(results.audit.refusals < refusals
      ? [`the audit log has ${results.audit.refusals} of ${refusals} refusals`]
      : []),
  ];
}

/** It never reaches the daemon, so no audit log has it. */
export const BY_PATH = 'delete the pool by its path';

const round = (ms: number): number => Math.round(ms * 10) / 10;

/** The one JSON document. */
export function document(results: Results): string {
  const [first, second] = results.forks;
  const { after, before } = results;
  return JSON.stringify({
    attempts: results.attempts,
    production: {
      rows_lost: rowsLost(results),
      writes_failed: after.failed,
      rows_before: before.rows,
      writes_acknowledged: after.acknowledged,
      bytes: before.size,
    },
    timings_ms: {
      fork_copy: round(first?.copy ?? 0),
      fork_cell: round(first?.cell ?? 0),
      fork_start: round(first?.start ?? 0),
      fork_rest: round(first?.rest ?? 0),
      fork_total: round(first?.total ?? 0),
      second_fork_copy: round(second?.copy ?? 0),
      second_fork_total: round(second?.total ?? 0),
      slowest_write: round(after.slowest),
    },
    audit: results.audit,
    faults: faults(results),
  });
}

/** The closing tables, for a terminal of so many columns. */
export function summary(results: Results, columns: number): string {
  const { after, before, audit, forks } = results;
  const tried = results.attempts.map((one) => [
    one.name,
    one.outcome === one.expected ? one.outcome : `✘ ${one.outcome}`,
    one.stopped_by,
  ]);
  const [first] = forks;
  const count = (number: number): string => number.toLocaleString('en');
  const reckoning = [
    ['production', ''],
    ['rows lost', `${rowsLost(results)} of ${count(before.rows + after.acknowledged)}`],
    [
      'writes interrupted',
      `${after.failed} of ${count(after.acknowledged + after.failed)}, slowest ${formatMs(after.slowest)}`,
    ],
    ['audit log', `${audit.intact ? 'intact' : 'NOT intact'}, with ${audit.refusals} refusals`],
  ];
  const times = [
    ['a fork', 'here', 'the article *'],
    ['size', formatBytes(before.size), ARTICLE.size],
    ['the copy', formatMs(first?.copy ?? 0), formatMs(ARTICLE.copy)],
    ['whole, until PostgreSQL answers', formatMs(first?.total ?? 0), formatMs(ARTICLE.whole)],
  ];
  const note = [
    "  * Rediacc's replay of PocketOS: another machine, more data, a reflink copy.",
    '    Here it is a snapshot, whose time does not grow with the data (./run bench).',
  ];
  const tables = [[['what the agent tried', 'outcome', 'what stopped it'], ...tried], reckoning, times];
  return [...tables.map((rows) => `${table(rows, columns)}\n`), ...note].join('\n');
}
