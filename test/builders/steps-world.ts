import assert from 'node:assert/strict';
import { AppError } from '../../src/contract/errors.ts';
import type { ProgressEvent } from '../../src/contract/events.ts';
import type { Id } from '../../src/core/ids.ts';
import type { Plan, Step } from '../../src/core/steps.ts';
import { createRunner, type JournalPoint, type Runner } from '../../src/daemon/journal-runner.ts';
import type { Executors } from '../../src/daemon/steps.ts';
import { openDatabase } from '../../src/store/db.ts';
import { createJournal } from '../../src/store/journal.ts';

/** What the steps of a plan leave on the disk: it outlives daemons. */
export class World {
  readonly steps = new Map<number, 'half' | 'done'>();
  /** Times that a step still fails: doing it, and taking it back. */
  failures = { do: new Map<number, number>(), undo: new Map<number, number>() };
  /** Places that may still be passed; at the last one the daemon is dead. */
  lives = Infinity;
  readonly seen: string[] = [];
  /** Steps that came out of order. */
  readonly violations: string[] = [];
  died: () => void = () => {};
  readonly file: string;

  /** `file`: of the journal. */
  constructor(file: string) {
    this.file = file;
  }

  /** A daemon that was killed does nothing any more, ever. */
  async pass(place: string): Promise<void> {
    this.seen.push(place);
    this.lives -= 1;
    if (this.lives >= 0) return;
    this.died();
    await new Promise(() => {});
  }

  private async act(what: 'do' | 'undo', at: number, plan: Plan): Promise<void> {
    // Taking back a later step twice, after an earlier one, would destroy what that one brought back.
    const before = plan.steps.slice(0, at).every((_, index) => this.steps.get(index) === 'done');
    const after = [...this.steps.keys()].some((index) => index > at);
    if (!before || after) this.violations.push(`${what} ${at} of ${JSON.stringify([...this.steps])}`);
    this.steps.set(at, 'half');
    await this.pass(`inside:${what}:${at}`);
    const failures = this.failures[what].get(at) ?? 0;
    this.failures[what].set(at, failures - 1);
    if (failures > 0) throw new AppError('failed', `step ${at} cannot be ${what === 'do' ? 'done' : 'undone'}`);
    if (what === 'do') this.steps.set(at, 'done');
    else this.steps.delete(at);
  }

  /** Every step is one of these; its place in the plan is in its id. */
  executors(plan: Plan): Executors {
    const placeOf = (args: { id: Id }): number => Number(args.id);
    const executor = {
      do: (args: { id: Id }) => this.act('do', placeOf(args), plan),
      undo: (args: { id: Id }) => this.act('undo', placeOf(args), plan),
    };
    return { 'volume.create': executor } as unknown as Executors;
  }

  /** Lives until it is killed or `work` ends; then its database is free. */
  async daemon<T>(plan: Plan, work: (runner: Runner) => Promise<T>): Promise<T | 'killed'> {
    const db = openDatabase(this.file);
    const log = { info: () => {}, warn: () => {}, error: () => {} };
    const killAt = ({ operation, step, when }: JournalPoint) => this.pass(`${operation}:${step}:${when}`);
    const runner = createRunner({
      journal: createJournal(db),
      executors: this.executors(plan),
      clock: () => 0,
      log,
      killAt,
      pause: async () => {},
    });
    const killed = new Promise<'killed'>((resolve) => (this.died = () => resolve('killed')));
    try {
      return await Promise.race([work(runner), killed]);
    } finally {
      db.close();
    }
  }

  journalled(): number {
    const db = openDatabase(this.file);
    const entries = createJournal(db).open().length;
    db.close();
    return entries;
  }
}

/** A plan whose steps are numbered. */
export function aPlan(steps: number, commit: number): Plan {
  const all = Array.from({ length: steps }, (_, at): Step => ({
    do: 'volume.create',
    with: { id: String(at) as Id },
    label: `step ${at}`,
  }));
  return { operation: 'fork.create', target: 'shop:fix', steps: all, commit };
}

/** Runs it; the error where it fails, `killed` where the daemon is. */
export const run = (world: World, plan: Plan, emit: (event: ProgressEvent) => void = () => {}) =>
  world.daemon(plan, (runner) =>
    runner.run(plan, 'request', emit).then(
      () => 'done' as const,
      (error: unknown) => error as Error,
    ),
  );
/** What the next start says. */
export const recover = (world: World, plan: Plan) => world.daemon(plan, (runner) => runner.recover());

/** All of it, or nothing; and nothing is left to do. */
export function wholeOrNothing(world: World, plan: Plan): 'all' | 'nothing' {
  assert.deepEqual(world.violations, []);
  assert.equal(world.journalled(), 0, 'the journal is empty');
  if (world.steps.size === 0) return 'nothing';
  assert.deepEqual(
    [...world.steps.values()],
    plan.steps.map(() => 'done'),
  );
  return 'all';
}
