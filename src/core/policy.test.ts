import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OPERATIONS, type OperationName } from '../contract/operations.ts';
import type { Operation } from '../contract/operation.ts';
import type { Caller } from './caller.ts';
import type { Id } from './ids.ts';
import { decide, FORK_QUOTA, POLICY, type PolicyTarget, type Question, type Verdict } from './policy.ts';
import { ruleFor } from './policy-rules.ts';

const SHOP = '11111111-1111-4111-8111-111111111111' as Id;
const FIX = '22222222-2222-4222-8222-222222222222' as Id;
const NAMES = Object.keys(OPERATIONS) as OperationName[];
const declared = (name: OperationName): Operation => OPERATIONS[name] as unknown as Operation;

const unproven = (more: Partial<Extract<Caller, { kind: 'unproven' }>> = {}): Caller => ({
  kind: 'unproven',
  uid: 1000,
  user: 'deploy',
  pid: 42_110,
  agent: null,
  override: null,
  evidence: [],
  obstacle: null,
  uncovered: null,
  ...more,
});
const claude = (more: Partial<Extract<Caller, { kind: 'unproven' }>> = {}): Caller =>
  unproven({ agent: 'claude-code', evidence: ['CLAUDECODE=1 in process 41873', 'its parent claude 41790'], ...more });
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

const app: PolicyTarget = { kind: 'app', name: 'shop', id: SHOP, owner: '1000' };
const forkOf = (owner: string | null): PolicyTarget => ({ kind: 'fork', name: 'shop:fix', id: FIX, owner });
const bare = (kind: PolicyTarget['kind']): PolicyTarget => ({ kind, name: null, id: null, owner: null });

function ask(name: OperationName, caller: Caller, target: PolicyTarget, more: Partial<Question> = {}): Verdict {
  return decide({
    name,
    operation: declared(name),
    caller,
    target,
    forks: 0,
    quota: FORK_QUOTA,
    enrolled: true,
    ...more,
  });
}
const refused = (verdict: Verdict): Extract<Verdict, { allowed: false }> => {
  assert.equal(verdict.allowed, false);
  return verdict as Extract<Verdict, { allowed: false }>;
};

test('an agent on production is refused with what was seen, and the same command on a fork', () => {
  const verdict = refused(
    ask('session.exec', claude(), app, { input: { ref: 'shop', command: ['psql', '-c', 'drop table bookings'] } }),
  );
  assert.equal(verdict.code, 'refused');
  assert.equal(verdict.message, 'shop is production, and you are not signed in as a person');
  assert.match(
    verdict.why ?? '',
    /^You look like Claude Code \(CLAUDECODE=1 in process 41873, its parent claude 41790\)\./,
  );
  assert.deepEqual(verdict.next, ['bulkhead fork shop:fix', "bulkhead exec shop:fix -- psql -c 'drop table bookings'"]);
});

test('a fork that the caller has already is named instead of a new one', () => {
  const verdict = refused(ask('cell.restart', claude(), app, { input: { ref: 'shop' }, fork: 'shop:try' }));
  assert.deepEqual(verdict.next, ['bulkhead restart shop:try']);
});

test('who looks like a person is sent to sign in; a script also gets the fork', () => {
  const typed = refused(ask('cell.restart', unproven(), app));
  assert.deepEqual(typed.next, ['bulkhead sign-in']);
  assert.match(typed.message, /needs a signed-in person/);
  const script = refused(
    ask('cell.restart', unproven({ obstacle: 'It has no terminal, and a sign-in belongs to one.' }), app),
  );
  assert.deepEqual(script.next, ['bulkhead fork shop:fix', 'bulkhead restart shop:fix', 'bulkhead sign-in']);
  assert.match(script.why ?? '', /no terminal/);
  const below = refused(ask('cell.restart', unproven({ uncovered: 'It was started by make.' }), app));
  assert.equal(below.why, 'It was started by make.');
});

test('the override opens nothing, and says why', () => {
  const override = { value: 'shop', pid: 41_990, agentPid: 41_790 };
  for (const name of ['session.exec', 'cell.logs', 'volume.remove', 'config.accept'] as const) {
    const target = name === 'config.accept' ? bare('authority') : app;
    const verdict = refused(ask(name, claude({ override }), target));
    assert.equal(verdict.code, 'override-refused');
    assert.equal(verdict.message, 'An agent cannot allow itself production');
    assert.match(
      verdict.why ?? '',
      /below the agent \(process 41990\), so it counts for nothing; this attempt is in the audit log/,
    );
  }
  assert.equal(ask('session.exec', claude({ override }), forkOf('1000/claude-code')).allowed, true);
  const bare_ = refused(ask('session.exec', unproven({ override: { ...override, agentPid: null } }), app));
  assert.match(bare_.message, /environment variable cannot open production/);
});

test('a person changes production with a point before, and removes it with the factor', () => {
  assert.deepEqual(ask('session.exec', person, app), { allowed: true, needsFactor: false, point: true });
  assert.deepEqual(ask('cell.logs', person, app), { allowed: true, needsFactor: false, point: false });
  assert.deepEqual(ask('volume.remove', person, app), { allowed: true, needsFactor: true, point: true });
  assert.deepEqual(ask('volume.remove', person, forkOf('1001')), { allowed: true, needsFactor: false, point: false });
  assert.deepEqual(ask('trash.purge', person, bare('authority')), { allowed: true, needsFactor: true, point: false });
  assert.deepEqual(ask('config.accept', person, bare('authority')), { allowed: true, needsFactor: true, point: false });
});

test('a fork is its owner’s: of the uid, and of an agent that shows its name its own', () => {
  const may = (caller: Caller, owner: string | null): boolean => ask('session.exec', caller, forkOf(owner)).allowed;
  assert.equal(may(unproven(), '1000'), true);
  assert.equal(may(unproven(), '1000/claude-code'), true);
  assert.equal(may(unproven(), '10001/claude-code'), false);
  assert.equal(may(unproven(), '1001'), false);
  assert.equal(may(claude(), '1000/claude-code'), true);
  assert.equal(may(claude(), '1000'), false);
  assert.equal(may(claude(), '1000/codex'), false);
  assert.equal(may(claude(), null), false);
  const other = refused(ask('cell.logs', claude(), forkOf('1001')));
  assert.match(other.message, /not a fork of yours/);
  assert.equal(other.next[0], 'bulkhead fork shop:fix2');
});

test('names and states of all, logs of one’s own', () => {
  assert.equal(ask('app.list', claude(), bare('machine')).allowed, true);
  assert.equal(ask('cell.processes', claude(), forkOf('1001')).allowed, true);
  assert.equal(ask('cell.logs', claude(), forkOf('1001')).allowed, false);
  assert.equal(ask('point.list', claude(), app).allowed, true);
});

test('ten forks for a uid, and none from another’s fork', () => {
  assert.equal(ask('fork.create', claude(), forkOf(null), { forks: 9 }).allowed, true);
  const full = refused(ask('fork.create', claude(), forkOf(null), { forks: 10 }));
  assert.equal(full.code, 'quota');
  assert.match(full.message, /10 of 10/);
  assert.equal(ask('fork.create', person, forkOf(null), { forks: 10 }).allowed, true);
  assert.equal(ask('fork.create', claude(), forkOf(null), { source: forkOf('1001') }).allowed, false);
  assert.equal(ask('fork.create', claude(), forkOf(null), { source: app }).allowed, true);
  assert.equal(ask('trash.restore', claude(), forkOf('1000/claude-code'), { forks: 10 }).allowed, false);
});

test('before a factor is enrolled root alone is answered, for what says so', () => {
  const root = unproven({ uid: 0, user: 'root' });
  const early = { enrolled: false };
  for (const name of NAMES) {
    const target = bare(declared(name).target === 'self' ? 'self' : 'machine');
    assert.equal(ask(name, root, target, early).allowed, declared(name).beforeInit === true, name);
    assert.equal(ask(name, unproven(), target, early).allowed, false, name);
    assert.equal(ask(name, cellOf(FIX), target, early).allowed, false, name);
  }
  assert.deepEqual(refused(ask('app.list', unproven(), bare('machine'), early)).next, ['sudo bulkhead init']);
});

test('afterwards root is like everyone: it cannot enrol a factor of its own', () => {
  const root = unproven({ uid: 0, user: 'root' });
  assert.equal(ask('machine.init', root, bare('machine')).allowed, false);
  assert.equal(ask('session.exec', root, app).allowed, false);
  assert.equal(ask('machine.doctor', root, bare('machine')).allowed, true);
});

test('sign-in is for a terminal, a shell, and no agent', () => {
  assert.deepEqual(ask('caller.sign-in', unproven(), bare('self')), { allowed: true, needsFactor: true, point: false });
  assert.match(refused(ask('caller.sign-in', claude(), bare('self'))).why ?? '', /You look like Claude Code/);
  assert.match(
    refused(ask('caller.sign-in', unproven({ obstacle: 'No terminal.' }), bare('self'))).why ?? '',
    /No terminal/,
  );
  assert.equal(ask('caller.sign-out', claude(), bare('self')).allowed, true);
  assert.equal(ask('caller.sign-in', cellOf(FIX), bare('self')).allowed, false);
});

test('a cell reaches itself', () => {
  const fork = cellOf(FIX);
  const may = (name: OperationName, caller: Caller, target: PolicyTarget): boolean => ask(name, caller, target).allowed;
  assert.equal(may('session.exec', fork, forkOf('1000')), true);
  assert.equal(may('cell.logs', fork, forkOf('1000')), true);
  assert.equal(may('volume.remove', fork, forkOf('1000')), false);
  assert.equal(may('session.exec', fork, { ...forkOf('1000'), id: SHOP }), false);
  assert.equal(may('fork.create', fork, forkOf(null)), false);
  assert.equal(may('cell.logs', cellOf(SHOP), app), true);
  assert.equal(may('session.exec', cellOf(SHOP), app), false);
  assert.equal(may('machine.status', fork, bare('machine')), false);
  assert.equal(may('audit.log', fork, bare('machine')), false);
  assert.equal(may('caller.show', fork, bare('self')), true);
});

test('every operation has a rule for every target that it can have, with a reason', () => {
  const areas = {
    machine: ['machine'],
    authority: ['authority'],
    self: ['self'],
    app: ['production'],
    fork: ['fork'],
    ref: ['production', 'fork'],
  } as const;
  for (const name of NAMES) {
    const { target, effect, data = false } = declared(name);
    // An app that is restored from the trash becomes production by the rule for making one.
    for (const area of areas[target]) {
      const rule = ruleFor({ name, area, effect, data });
      assert.ok(rule !== undefined && rule.reason.length > 10, `${name} on ${area}`);
    }
  }
  assert.ok(POLICY.every((row) => row.reason !== '' && row.person !== '' && row.unproven !== '' && row.cell !== ''));
});
