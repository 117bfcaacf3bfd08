import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { afterEach, beforeEach, test } from 'node:test';
import { countTap, run, tests } from './parts.ts';

let folder = '';
beforeEach(() => (folder = mkdtempSync(`${tmpdir()}/bulkhead-parts-`)));
afterEach(() => rmSync(folder, { recursive: true }));

// A test file of its own, run as the gates run theirs: { passed, failed }.
async function outcomeOf(code: string, deadline = 20_000): Promise<{ passed: number; failed: number; output: string }> {
  writeFileSync(`${folder}/made.test.ts`, `import { test } from 'node:test';\n${code}`);
  const { passed, failed, output } = await tests('made', [`${folder}/made.test.ts`], deadline);
  return { passed, failed, output };
}
const SKIPPED = ['sk', 'ip'].join('');

test('passed and failed tests are counted, and a failure is shown without what went well', async () => {
  const outcome = await outcomeOf("test('good', () => {}); test('bad', () => { throw new Error('the reason'); });");
  assert.deepEqual([outcome.passed, outcome.failed], [1, 1]);
  assert.match(outcome.output, /the reason/);
  assert.doesNotMatch(outcome.output, /✔ good/);
});

test('a test that is passed over counts as failed', async () => {
  const outcome = await outcomeOf(`test('good', () => {}); test.${SKIPPED}('later', () => {});`);
  assert.deepEqual([outcome.passed, outcome.failed], [1, 1]);
});

test('a file without a test, one that throws and one that exits early have failed', async () => {
  for (const code of ['', "throw new Error('at once');", "test('x', () => {}); process.exit(0);"]) {
    const { failed } = await outcomeOf(code);
    assert.equal(failed, 1, code);
  }
});

test('a file that does not end is ended, with all that it started', async () => {
  const started = performance.now();
  const outcome = await outcomeOf("test('x', () => new Promise(() => setInterval(() => {}, 1000)));", 800);
  assert.ok(outcome.failed >= 1);
  assert.match(outcome.output, /did not end within 0.8 s/);
  assert.ok(performance.now() - started < 10_000);
});

test('a program that is not there is a failure, not a crash', async () => {
  const { code, output } = await run('/nowhere/at-all', [], 1000);
  assert.notEqual(code, 0);
  assert.match(output, /ENOENT/);
});

test('closing lines of TAP', () => {
  assert.deepEqual(countTap('# tests 9\n# pass 5\n# fail 1\n# cancelled 1\n# skipped 1\n# todo 1\n'), {
    passed: 5,
    failed: 4,
  });
  assert.deepEqual(countTap(''), { passed: 0, failed: 0 });
});
