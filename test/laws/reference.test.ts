import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { REFERENCE, reference } from '../../scripts/reference.ts';
import { ERRORS } from '../../src/contract/errors.ts';
import { OPERATIONS } from '../../src/contract/operations.ts';

test('docs/reference.md is what the tables say; .tools/node scripts/reference.ts writes it', async () => {
  assert.equal(await readFile(REFERENCE, 'utf8'), reference());
});

test('the reference has every operation, and every error with its exit code and status', () => {
  const text = reference();
  const missing = Object.keys(OPERATIONS).filter(
    (name) => !text.includes(`\`${name}\``) && !text.includes(`### ${name}`),
  );
  assert.deepEqual(missing, []);
  for (const [code, { exit, status }] of Object.entries(ERRORS))
    assert.ok(text.includes(`| \`${code}\` | ${exit} | ${status} |`), code);
});
