import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkNetwork } from './check.ts';

test('this machine has what the networks of cells need', async () => {
  const findings = await checkNetwork();
  assert.equal(findings.length, 4);
  for (const finding of findings) {
    assert.notEqual(finding.level, 'bad', JSON.stringify(finding));
    assert.equal(finding.level === 'ok', finding.remedy === null);
  }
});
