import assert from 'node:assert/strict';
import { NO_FILE, type AppFile } from '../../src/contract/app-file.ts';
import { AppError } from '../../src/contract/errors.ts';
import type { Id } from '../../src/core/ids.ts';
import { placeName, type VolumePlace } from '../../src/core/places.ts';
import { planFork, planPoint, planRemove, type Subject } from '../../src/core/plans.ts';
import type { Plan, Step } from '../../src/core/steps.ts';
import { createRunner, type Runner, type RunnerDeps } from '../../src/daemon/journal-runner.ts';
import type { Parts } from '../../src/daemon/parts.ts';
import { createExecutors, type Executors } from '../../src/daemon/steps.ts';
import { createMemoryVolumes, type MemoryVolumes } from '../../src/host/memory/volumes.ts';
import { createJournal } from '../../src/store/journal.ts';
import { anId, aStore, aVolume } from './records.ts';

/** What the world holds at first: an app, two forks of it of which one is in the trash, a point. */
export const SHOP = anId(1);
export const FIX = anId(2);
export const OLD = anId(3);
export const POINT = anId(4);
/** In the trash under this key. */
export const OLD_KEY = anId(5);
/** Belong to nothing yet. */
export const NEW = anId(6);
export const KEY = anId(7);

/** With hooks that run around a fork's life. */
export const HOOKS: AppFile = {
  ...NO_FILE,
  fork: { ...NO_FILE.fork, prepare: './prepare.sh', cleanup: './cleanup.sh' },
};

const live = (id: Id): VolumePlace => ({ area: 'live', id });

/** What plans need to know of `shop:fix`, or of what is named. */
export const aSubject = (more: Partial<Subject> = {}): Subject => ({
  id: FIX,
  ref: 'shop:fix',
  kind: 'fork',
  file: HOOKS,
  running: true,
  ...more,
});

/** What may go wrong, at places that are numbered as they are passed. */
export interface Trouble {
  /** The place at which the daemon is killed. */
  kill?: number;
  /** The step that fails once, and whether it did its work before. */
  fail?: { step: number; late: boolean };
}

/** The plans' own executors over a real journal and real records, and a pool in memory. */
export class PlanWorld {
  readonly store: ReturnType<typeof aStore>;
  readonly pool: MemoryVolumes = createMemoryVolumes();
  readonly cells = new Set<Id>();
  passed = 0;

  private constructor(file: string) {
    this.store = aStore(file);
  }

  static async make(file: string): Promise<PlanWorld> {
    const world = new PlanWorld(file);
    const { store, pool } = world;
    await pool.make({ size: 1 << 30 }, () => {});
    store.volumes.make(aVolume(1));
    await pool.create(SHOP);
    await world.write(SHOP, 'production');
    await pool.writeManifest(SHOP, 'manifest');
    store.volumes.ready(SHOP);
    const runner = world.runner();
    const run = (plan: Plan) => runner.run(plan, 'setup', () => {});
    await run(planPoint(SHOP, 'shop', POINT, 1, 'cell.up'));
    for (const [id, tag] of [
      [2, 'fix'],
      [3, 'old'],
    ] as const) {
      await run(planFork(aVolume(id, { tag, parent: SHOP, parentName: 'shop' }), live(SHOP), false));
      await world.write(anId(id), tag);
    }
    const entry = { id: OLD, trash: OLD_KEY, by: 'deploy', why: 'removed', at: 1, until: 9 };
    await run(planRemove(aSubject({ id: OLD, ref: 'shop:old', file: NO_FILE }), entry));
    return world;
  }

  private write(id: Id, text: string): Promise<void> {
    return this.pool.put(live(id), 'data', Buffer.from(text));
  }

  /** What an app or fork holds; undefined where it is not there. */
  async read(at: VolumePlace): Promise<string | undefined> {
    if (!(await this.pool.has(at))) return undefined;
    return Buffer.from((await this.pool.get(at, 'data')) ?? []).toString();
  }

  private runner(more: Partial<RunnerDeps> = {}): Runner {
    const log = { info: () => {}, warn: () => {}, error: () => {} };
    const executors = createExecutors(() => this.parts(log));
    return createRunner({
      journal: createJournal(this.store.db),
      executors,
      clock: () => 1,
      log,
      pause: async () => {},
      ...more,
    });
  }

  /** As much of the parts as steps use; a cell is its name in a set. */
  private parts(log: Parts['log']): Parts {
    const supervisor = {
      ensureCell: async ({ id }: { id: Id }) => void this.cells.add(id),
      stopCell: async ({ id }: { id: Id }) => void this.cells.delete(id),
      runUp: async () => {},
      runHealth: async () => {},
      runOnce: async () => {},
    };
    const store = { ...this.store, secrets: { manifestKey: Buffer.alloc(32) } };
    const cells = { stop: async (id: Id) => void this.cells.delete(id), forget: async () => {} };
    const sessions = { forget: () => {} };
    // The steps touch nothing else of the parts.
    return { store, volumes: this.pool, supervisor, cells, sessions, log, clock: () => 1 } as unknown as Parts;
  }

  /** Runs a plan with trouble; then a new daemon recovers. How the first one ended. */
  async runWith(plan: Plan, trouble: Trouble): Promise<'done' | 'failed' | 'killed'> {
    this.passed = 0;
    const ended = await new Promise<'done' | 'failed' | 'killed'>((resolve) => {
      const pass = async (): Promise<void> => {
        this.passed += 1;
        if (this.passed - 1 !== trouble.kill) return;
        resolve('killed');
        await new Promise(() => {});
      };
      const executors = failing(
        createExecutors(() => this.parts({ info: () => {}, warn: () => {}, error: () => {} })),
        plan,
        { pass, ...trouble },
      );
      this.runner({ executors, killAt: pass })
        .run(plan, 'request', () => {})
        .then(
          () => resolve('done'),
          () => resolve('failed'),
        );
    });
    if (ended === 'killed') await this.runner().recover();
    return ended;
  }

  /** Records and pool tell the same, and nothing is left over. */
  async check(): Promise<void> {
    const { volumes, trash, points, db } = this.store;
    assert.deepEqual(createJournal(db).open(), [], 'the journal is empty');
    const expected = new Set<string>();
    for (const record of volumes.list()) {
      assert.equal(record.state, 'ready', `${record.tag} is half made`);
      expected.add(placeName(live(record.id)));
      if (record.kind === 'fork') expected.add(`base/${record.id}`);
      assert.ok(await this.pool.readManifest(record.id), `${record.tag} has its manifest`);
    }
    for (const item of trash.list()) {
      expected.add(`trash/${item.key}`);
      if (item.kind === 'fork') expected.add(`base/${item.volume}`);
    }
    for (const point of points.all()) expected.add(`point/${point.id}`);
    assert.deepEqual((await this.pool.list()).map(placeName).toSorted(), [...expected].toSorted());
  }
}

/** Executors that may be killed inside a step, and fail once at one. */
function failing(real: Executors, plan: Plan, { pass, fail }: Trouble & { pass: () => Promise<void> }): Executors {
  let left = fail === undefined ? 0 : 1;
  const run = (step: Step, what: 'do' | 'undo') => async (): Promise<void> => {
    const fails = left > 0 && what === 'do' && plan.steps[fail?.step ?? -1] === step;
    if (fails) left -= 1;
    if (fails && fail?.late === false) throw new AppError('failed', 'early');
    await (real[step.do][what] as (args: unknown) => Promise<unknown>)(step.with);
    await pass();
    if (fails) throw new AppError('failed', 'late');
  };
  // Steps are told apart by their arguments, which the runner hands on as they are.
  const find = (args: unknown): Step => plan.steps.find((step) => step.with === args) as Step;
  const wrapped = Object.keys(real).map((name) => [
    name,
    { do: (args: unknown) => run(find(args), 'do')(), undo: (args: unknown) => run(find(args), 'undo')() },
  ]);
  return Object.fromEntries(wrapped) as Executors;
}
