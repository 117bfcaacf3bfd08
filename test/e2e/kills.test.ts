import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { checkInvariants, killAt, listOf } from '../builders/kills.ts';
import { makeMachine, makeTree, type Machine } from '../builders/machine.ts';

/**
 * kill -9 of the daemon at every journalled step of every multi-step operation, on the
 * real host code; then a new daemon, and the invariants. The steps are those that
 * `--plan` prints, so a step that is added later is killed at as well.
 */
const ROWS = '1\n2\n3\n';
const HOOKS = {
  'bulkhead.yaml':
    'hooks: { up: ./up.sh, health: ./health.sh, down: ./down.sh }\nfork: { prepare: ./prepare.sh, cleanup: ./cleanup.sh, limits: { memory: 256MiB } }\n',
  'up.sh': '#!/bin/sh\nsleep 1000 &\n',
  'health.sh': '#!/bin/sh\ntrue\n',
  'down.sh': '#!/bin/sh\ntrue\n',
  'prepare.sh': '#!/bin/sh\necho masked > /app/prepared\n',
  'cleanup.sh': '#!/bin/sh\ntrue\n',
  'data/rows': ROWS,
};

let machine: Machine;

before(async () => {
  machine = await makeMachine({ size: '1G', persons: 2 });
  const person = await machine.person();
  await person.create('shop', await makeTree(HOOKS));
  const up = await person.bulkhead('up shop');
  assert.equal(up.code, 0, `${up.stdout}${up.stderr}${machine.log()}`);
  await person.leave();
});
after(() => machine?.remove());

interface Case {
  operation: string;
  /** Brings the machine to where the operation may be asked; it is not killed there. */
  given: () => Promise<void>;
  ask: string[];
  /** The journalled point of the operation's place in what `--plan` prints. */
  kill: (point: string) => string;
}

const of = (operation: string) => (point: string) => `${operation}:${point}`;

/** `restart` is two plans, one after the other. */
function restartPoint(point: string): string {
  const [step = '', when = ''] = point.split(':');
  return Number(step) === 0 ? `cell.restart:${step}:${when}` : `cell.up:${Number(step) - 1}:${when}`;
}

const agent = (...args: string[]) => machine.cli(...args);
const ok = async (...args: string[]): Promise<void> => {
  const ran = await agent(...args);
  assert.equal(ran.code, 0, `${args.join(' ')}: ${ran.stderr}${machine.log()}`);
};
const none = async (): Promise<void> => {
  for (const ref of await forks()) await ok('rm', ref);
};
const fresh = async (): Promise<void> => {
  await none();
  await ok('fork', 'shop:k');
};

const CASES: Case[] = [
  { operation: 'fork.create', given: none, ask: ['fork', 'shop:k'], kill: of('fork.create') },
  { operation: 'fork.reset', given: fresh, ask: ['reset', 'shop:k'], kill: of('fork.reset') },
  { operation: 'volume.remove', given: fresh, ask: ['rm', 'shop:k'], kill: of('volume.remove') },
  {
    operation: 'trash.restore',
    given: async () => {
      await fresh();
      await ok('rm', 'shop:k');
    },
    ask: ['trash', 'restore', '{trash}'],
    kill: of('trash.restore'),
  },
  { operation: 'cell.up', given: fresh, ask: ['up', 'shop:k'], kill: of('cell.up') },
  {
    operation: 'cell.down',
    given: async () => {
      await fresh();
      await ok('up', 'shop:k');
    },
    ask: ['down', 'shop:k'],
    kill: of('cell.down'),
  },
  {
    operation: 'cell.restart',
    given: async () => {
      await fresh();
      await ok('up', 'shop:k');
    },
    ask: ['restart', 'shop:k'],
    kill: restartPoint,
  },
];

const forks = async (): Promise<string[]> =>
  (await listOf(machine)).filter(({ kind }) => kind === 'fork').map(({ ref }) => ref);

/** `{trash}` is the newest name in the trash. */
async function words(ask: readonly string[]): Promise<string[]> {
  if (!ask.includes('{trash}')) return [...ask];
  const { items } = await machine.json<{ items: { name: string }[] }>('trash', 'ls');
  return ask.map((word) => (word === '{trash}' ? (items[0]?.name ?? '') : word));
}

for (const one of CASES)
  test(`${one.operation}: killed at each of its steps, it is finished or undone`, async () => {
    await one.given();
    const planned = await machine.json<{ steps: { key: string }[] }>(...(await words(one.ask)), '--plan');
    assert.ok(planned.steps.length > 0);
    const points = planned.steps.flatMap((_, step) => [`${step}:before`, `${step}:after`]);
    for (const point of points) {
      const at = one.kill(point);
      await one.given();
      const ask = await words(one.ask);
      await killAt(machine, at, () => agent(...ask));
      const list = await checkInvariants(machine, at, ({ kind }) =>
        kind === 'app' ? { 'data/rows': ROWS } : { 'data/rows': ROWS, prepared: 'masked\n' },
      );
      // What is there can be entered.
      for (const { ref } of list.filter(({ kind }) => kind === 'fork'))
        await ok('exec', ref, '--', 'cat', '/app/prepared');
    }
  });
