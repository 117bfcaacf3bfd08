import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DENIALS, seccompProfile } from './seccomp.ts';

test('every line has a reason, and compares under a mask of 32 bits', () => {
  for (const { calls, when = [], why } of DENIALS) {
    assert.ok(calls.length > 0 && why.length > 10);
    for (const { mask, value } of when) {
      assert.ok(mask > 0 && mask <= 0xffffffff, why);
      assert.equal(Number(BigInt(value) & BigInt(mask)), value, why);
    }
  }
});

test('no argument is compared without its mask', () => {
  const text = JSON.stringify(seccompProfile());
  assert.doesNotMatch(text, /SCMP_CMP_(?!MASKED_EQ)/);
  assert.match(text, /"architectures":\["SCMP_ARCH_\w+"\]/);
});
