import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { schemaText } from '../../scripts/schema.ts';

test('the published JSON Schema of bulkhead.yaml is the one that the daemon checks with', () => {
  const published = readFileSync(new URL('../../docs/bulkhead.schema.json', import.meta.url), 'utf8');
  assert.equal(published, schemaText(), 'run: .tools/node scripts/schema.ts');
});
