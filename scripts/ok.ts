// The quick gate: format, lint, types, laws and unit tests, side by side, without root.

import { globSync } from 'node:fs';
import { check, close, report, ROOT, tests, type Outcome } from './parts.ts';

const BIN = 'node_modules/.bin';

/** The tests that need no root: those beside the sources and the laws. */
export function unitTests(): string[] {
  const files = globSync(['src/**/*.test.ts', 'scripts/*.test.ts', 'test/laws/*.test.ts'], { cwd: ROOT });
  return files.filter((file) => !file.endsWith('.root.test.ts')).sort();
}

/** Runs every part and prints what failed. */
export async function ok(): Promise<Outcome[]> {
  const parts = [
    check('types', `${BIN}/tsc`, ['-p', '.']),
    // Two processes, since there are two cores at the least; the deadline is for machines that do other things as well.
    tests(
      'unit tests',
      unitTests().filter((file) => file.startsWith('src/')),
      120_000,
    ),
    tests(
      'laws',
      unitTests().filter((file) => !file.startsWith('src/')),
      120_000,
    ),
    check('lint', `${BIN}/oxlint`, ['--type-aware', '--deny-warnings']),
    check('format', `${BIN}/oxfmt`, ['--check']),
  ];
  for (const part of parts) void part.then(report);
  return Promise.all(parts);
}

if (import.meta.main) {
  const started = performance.now();
  close(await ok(), started);
}
