import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { OPERATIONS } from '../contract/operations.ts';
import type { Caller } from './caller.ts';
import type { Id } from './ids.ts';
import { decide, FORK_QUOTA, type PolicyTarget, type Question } from './policy.ts';

const SHOP = '11111111-1111-4111-8111-111111111111' as Id;
const FIX = '22222222-2222-4222-8222-222222222222' as Id;
const NAMES = Object.keys(OPERATIONS);

const unproven = (more: Partial<Extract<Caller, { kind: 'unproven' }>> = {}): Caller => ({
  kind: 'unproven',
  uid: 1000,
  user: 'deploy',
  pid: 9,
  agent: null,
  override: null,
  evidence: [],
  obstacle: null,
  uncovered: null,
  ...more,
});
const person: Caller = {
  kind: 'person',
  uid: 1000,
  user: 'deploy',
  pid: 7,
  person: 'deploy',
  terminal: '/dev/pts/1',
  until: 1,
  evidence: [],
};
const cellOf = (cell: Id): Caller => ({ kind: 'cell', cell, uid: 0x7001_03e8, user: null, pid: 9, evidence: [] });

const anyOwner = fc.constantFrom('1000', '1000/claude-code', '1001', 'cell:x', '', null);
const anyTarget = fc.record({
  kind: fc.constantFrom('machine', 'authority', 'self', 'app', 'fork'),
  name: fc.constantFrom('shop', 'shop:fix', null),
  id: fc.constantFrom(SHOP, FIX, null),
  owner: anyOwner,
}) as fc.Arbitrary<PolicyTarget>;
const anyOperation = fc.record(
  {
    effect: fc.constantFrom('read', 'create', 'change', 'destroy', 'nonsense'),
    target: fc.constantFrom('machine', 'authority', 'self', 'app', 'fork', 'ref', 'nonsense'),
    data: fc.boolean(),
    factor: fc.constantFrom('always', 'production'),
    beforeInit: fc.boolean(),
    point: fc.boolean(),
    command: fc.constantFrom('exec', ''),
    input: fc.constant({}),
  },
  { requiredKeys: ['effect', 'target', 'command', 'input'] },
) as fc.Arbitrary<Question['operation']>;
const anyOverride = fc.constantFrom(null, { value: '*', pid: 5, agentPid: null }, { value: '*', pid: 5, agentPid: 4 });
const anyUnproven = fc
  .record({
    uid: fc.constantFrom(0, 1000, 1001),
    agent: fc.constantFrom(null, 'claude-code', 'codex'),
    override: anyOverride,
    obstacle: fc.constantFrom(null, 'No terminal.'),
  })
  .map((more) => unproven(more));
const anyCell = fc.constantFrom(SHOP, FIX).map(cellOf);
const anyRest = fc.record({
  name: fc.constantFrom(...NAMES, 'nonsense'),
  operation: anyOperation,
  target: anyTarget,
  forks: fc.nat(12),
  quota: fc.constant(FORK_QUOTA),
  enrolled: fc.boolean(),
  fork: fc.constantFrom('shop:a'),
  input: fc.constantFrom({}, { ref: 'shop', command: ['x', 'y z'] }),
});
const RUNS = { numRuns: 5000 };

test('no unproven caller and no cell ever changes production or anything of authority', () => {
  fc.assert(
    fc.property(anyRest, fc.oneof(anyUnproven, anyCell), (rest, caller) => {
      const verdict = decide({ ...rest, caller });
      const { operation, target } = rest;
      const production = target.kind === 'app' && operation.target !== 'machine' && operation.target !== 'self';
      const harm =
        operation.effect === 'change' ||
        operation.effect === 'destroy' ||
        operation.effect === 'create' ||
        (operation.data === true && caller.kind === 'unproven');
      if (rest.enrolled && production && harm) assert.equal(verdict.allowed, false);
      if (rest.enrolled && (operation.target === 'authority' || target.kind === 'authority'))
        assert.equal(verdict.allowed, false);
      if (caller.kind === 'cell' && !rest.enrolled) assert.equal(verdict.allowed, false);
      if (!verdict.allowed) assert.ok(verdict.message.length > 10 && Array.isArray(verdict.next));
    }),
    RUNS,
  );
});

test('evidence never raises: an agent’s name, an override or an obstacle only takes away', () => {
  fc.assert(
    fc.property(
      anyRest,
      fc.constantFrom(0, 1000),
      fc.constantFrom('claude-code', 'codex'),
      anyOverride,
      (rest, uid, agent, override) => {
        const plain = unproven({ uid });
        const lower = unproven({ uid, agent, override, obstacle: 'No terminal.', evidence: ['x'] });
        const after = decide({ ...rest, caller: lower });
        if (after.allowed) assert.equal(decide({ ...rest, caller: plain }).allowed, true);
      },
    ),
    RUNS,
  );
});

test('a person who is taken for less has less', () => {
  fc.assert(
    fc.property(anyRest, anyUnproven, (rest, caller) => {
      const { enrolled, name } = rest;
      if (!enrolled || name === 'caller.sign-in') return;
      const after = decide({ ...rest, caller });
      if (after.allowed) assert.equal(decide({ ...rest, caller: person }).allowed, true);
    }),
    RUNS,
  );
});
