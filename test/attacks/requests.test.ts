import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import { OPERATIONS, type OperationName } from '../../src/contract/operations.ts';
import { run } from '../builders/machine.ts';
import { ask, askAs, askFrom, codeIn, initOf, type Ask } from './ask.ts';
import { attack, reachedIf, type Outcome } from './attack.ts';
import { makeStage, SECRET, type Stage } from './stage.ts';

/** Everything that can be asked, by who may not: another user of the machine, and a fork's cell by its own socket. */
const STRANGER = 61_234;

let stage: Stage;
let cell = 0;

before(async () => {
  stage = await makeStage({ forks: ['fix', 'gone'] });
  const { machine } = stage;
  assert.equal((await stage.agent('exec', 'shop:fix', '--', 'true')).code, 0, machine.log());
  assert.equal((await stage.agent('rm', 'shop:gone')).code, 0, machine.log());
  cell = await initOf(machine, await stage.id('shop:fix'));
  await run('setfacl', ['-m', `u:${STRANGER}:rw`, machine.paths.socket]);
});
after(() => stage?.remove());

interface Forbidden {
  operation: OperationName;
  input: object;
  /** What the person asks in its place, where the same would end the stage: the plan. */
  plan?: true;
}

/** On production and on what belongs to another: by every operation that could do something to it. */
const FORBIDDEN: readonly Forbidden[] = [
  { operation: 'machine.init', input: { person: 'root' }, plan: true },
  { operation: 'machine.confirm', input: {}, plan: true },
  { operation: 'app.create', input: { name: 'evil' }, plan: true },
  { operation: 'volume.remove', input: { ref: 'shop', confirm: 'shop' }, plan: true },
  { operation: 'cell.up', input: { ref: 'shop' }, plan: true },
  { operation: 'cell.down', input: { ref: 'shop' }, plan: true },
  { operation: 'cell.restart', input: { ref: 'shop' }, plan: true },
  { operation: 'cell.logs', input: { ref: 'shop' } },
  { operation: 'session.exec', input: { ref: 'shop', command: ['true'] } },
  { operation: 'session.attach', input: { ref: 'shop', session: randomUUID() } },
  { operation: 'config.diff', input: { ref: 'shop' } },
  { operation: 'config.accept', input: { ref: 'shop' }, plan: true },
  { operation: 'trash.purge', input: { name: 'shop:gone' }, plan: true },
  { operation: 'trash.restore', input: { name: 'shop:gone' }, plan: true },
  { operation: 'caller.sign-in', input: {} },
  { operation: 'fork.create', input: { ref: 'shop:copy', from: 'shop:fix' }, plan: true },
  { operation: 'fork.reset', input: { ref: 'shop:fix' }, plan: true },
  { operation: 'fork.extend', input: { ref: 'shop:fix', ttl: 7200 }, plan: true },
];
/** The same again on a fork of another. */
const FOREIGN: readonly Forbidden[] = FORBIDDEN.filter(({ input }) => 'ref' in input && input.ref === 'shop')
  .filter(({ operation }) => !['config.accept', 'session.attach'].includes(operation))
  .map((each) => ({ ...each, input: { ...each.input, ref: 'shop:fix' } }));

/** What everyone on the machine may ask. */
const OPEN: readonly OperationName[] = [
  'machine.doctor',
  'machine.status',
  'app.list',
  'cell.processes',
  'point.list',
  'trash.list',
  'config.show',
  'caller.show',
  'caller.sign-out',
  'policy.show',
  'audit.log',
  'audit.tail',
  'audit.verify',
];

test('every operation is tried here, or open to all', () => {
  const named = new Set<string>([...FORBIDDEN.map(({ operation }) => operation), ...OPEN]);
  assert.deepEqual(
    Object.keys(OPERATIONS).filter((name) => !named.has(name)),
    [],
  );
});

const allowed = (answer: string | undefined): Outcome =>
  reachedIf(!['refused', 'not-found'].includes(codeIn(answer ?? '')), answer);
/** A session that is not there is not found, once one is allowed to look. */
const past = (answer: string | undefined): Outcome => reachedIf(codeIn(answer ?? '') !== 'refused', answer);

const asks = (list: readonly Forbidden[], plans: boolean): Ask[] =>
  list.map(({ operation, input, plan }) => ask(operation, input, plans && plan === true ? { plan } : {}));
const all = [...FORBIDDEN, ...FOREIGN];
const once = <T>(make: () => Promise<T>): (() => Promise<T>) => {
  let made: Promise<T> | undefined;
  return () => (made ??= make());
};
const byPerson = once(() => askAs(stage.person, stage.machine, asks(all, true)));
const byStranger = once(() => askFrom(stage.machine.paths.socket, asks(all, false), { uid: STRANGER }));
const inCell = (list: readonly Ask[]): Promise<string[]> =>
  askFrom('/run/bulkhead/cell.sock', list, {
    in: [
      ['mnt', cell],
      ['pid', cell],
      ['user', cell],
    ],
    uid: 1000,
  });
/** Its own fork a cell may change: that is no attack. */
const foreign = FORBIDDEN.filter(({ input }) => !('ref' in input && input.ref === 'shop:fix'));
const byCell = once(() => inCell(asks(foreign, false)));

all.forEach((each, at) => {
  const { operation, input } = each;
  const what = `${operation} ${'ref' in input ? String(input.ref) : ''}`.trim();
  attack({
    name: `another user of the machine: ${what}`,
    without: 'the question who asks',
    weakened: async () => past((await byPerson())[at]),
    walled: async () => allowed((await byStranger())[at]),
  });
  const place = foreign.indexOf(each);
  if (place < 0) return;
  attack({
    name: `a cell, by its own socket: ${what}`,
    without: 'the question who asks',
    weakened: async () => past((await byPerson())[at]),
    walled: async () => allowed((await byCell())[place]),
  });
});

attack({
  name: 'a cell looks for what else there is',
  without: 'the question who asks',
  async weakened() {
    const [answer = ''] = await askAs(stage.person, stage.machine, [ask('app.list', {})]);
    return reachedIf(answer.includes('"shop"'), answer);
  },
  async walled() {
    const answers = await inCell([
      ask('app.list', {}),
      ask('app.list', { ref: 'shop' }),
      ask('trash.list', {}),
      ask('audit.log', {}),
      ask('machine.doctor', {}),
    ]);
    return reachedIf(
      answers.some((answer) => /"ref":"shop"|shop:gone|"caller":/.test(answer)),
      'itself alone',
    );
  },
});

attack({
  name: 'an audit log that names the doings of others',
  without: 'the question who asks',
  weakened: async () =>
    reachedIf(
      (await askAs(stage.person, stage.machine, [ask('audit.log', { lines: 500 })])).join('').includes('"uid":0'),
      'nothing',
    ),
  walled: async () =>
    reachedIf(
      (await askFrom(stage.machine.paths.socket, [ask('audit.log', { lines: 500 })], { uid: STRANGER }))
        .join('')
        .includes('"uid":0'),
      'its own alone',
    ),
});

attack({
  name: 'more forks than the quota, by many names and from the trash',
  without: 'a quota: the person',
  async weakened() {
    const made = await askAs(stage.person, stage.machine, [
      ask('fork.create', { ref: 'shop:q-person' }),
      ask('volume.remove', { ref: 'shop:q-person' }),
    ]);
    return reachedIf(
      made.every((answer) => codeIn(answer) === 'result'),
      made,
    );
  },
  async walled() {
    const tags = Array.from({ length: 12 }, (_, at) => `shop:q${at}`);
    const stranger = (list: readonly Ask[]): Promise<string[]> =>
      askFrom(stage.machine.paths.socket, list, { uid: STRANGER });
    await stranger([ask('fork.create', { ref: 'shop:q-old' }), ask('volume.remove', { ref: 'shop:q-old' })]);
    const made = await stranger(tags.map((ref) => ask('fork.create', { ref })));
    const back = await stranger([ask('trash.restore', { name: 'shop:q-old' })]);
    const got = [...made, ...back].filter((answer) => codeIn(answer) === 'result').length;
    await stranger(tags.map((ref) => ask('volume.remove', { ref })));
    return reachedIf(got > 10, `${got} forks`);
  },
});

attack({
  name: 'many forks asked for at the same moment',
  without: 'a quota: the person',
  async weakened() {
    const names = Array.from({ length: 11 }, (_, at) => `shop:p${at}`);
    const made = await askAs(
      stage.person,
      stage.machine,
      names.map((ref) => ask('fork.create', { ref })),
    );
    await askAs(
      stage.person,
      stage.machine,
      names.map((ref) => ask('volume.remove', { ref })),
    );
    return reachedIf(
      made.every((answer) => codeIn(answer) === 'result'),
      made,
    );
  },
  async walled() {
    const each = Array.from({ length: 16 }, (_, at) =>
      askFrom(stage.machine.paths.socket, [ask('fork.create', { ref: `shop:m${at}` })], { uid: STRANGER }),
    );
    const got = (await Promise.all(each)).filter(([answer = '']) => codeIn(answer) === 'result').length;
    await askFrom(
      stage.machine.paths.socket,
      Array.from({ length: 16 }, (_, at) => ask('volume.remove', { ref: `shop:m${at}` })),
      { uid: STRANGER },
    );
    return reachedIf(got > 10, `${got} forks`);
  },
});

test('production is what it was', async () => {
  const { secret, missed } = await stage.production();
  assert.deepEqual({ secret, missed }, { secret: SECRET, missed: false });
});
