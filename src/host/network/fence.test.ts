import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assemble, OP } from './bpf.ts';
import { fenceCode } from './fence.ts';

test('a jump is counted from the instruction after it, with a constant of 64 bits as two', () => {
  const code = assemble([
    { op: OP.jump, to: 'end' },
    { load64: 0x1_0000_0002n, dst: 3 },
    { label: 'end' },
    { op: OP.exit },
  ]);
  assert.equal(
    code.toString('hex'),
    ['0500020000000000', '1803000002000000', '0000000001000000', '9500000000000000'].join(''),
  );
  assert.throws(() => assemble([{ op: OP.jump, to: 'nowhere' }]));
});

test('the same fence comes out for the same rules, and another for another resolver', () => {
  const rules = { resolvers: ['127.0.0.53'], nowhere: '169.254.77.1' };
  assert.deepEqual(fenceCode('connect4', 7n, rules), fenceCode('sendmsg4', 7n, rules));
  assert.notDeepEqual(fenceCode('connect4', 7n, rules), fenceCode('connect4', 7n, { ...rules, resolvers: [] }));
  assert.notDeepEqual(fenceCode('connect6', 7n, rules), fenceCode('connect6', 8n, rules));
});
