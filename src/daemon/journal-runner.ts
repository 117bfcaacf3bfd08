import { setTimeout as delay } from 'node:timers/promises';
import { AppError } from '../contract/errors.ts';
import type { ProgressEvent } from '../contract/events.ts';
import type { Plan, Step } from '../core/steps.ts';
import type { Journal, JournalEntry } from '../store/journal.ts';
import type { Log } from './log.ts';
import type { Executors } from './steps.ts';

/** A journalled place in a plan; kill tests end the daemon there. Taking back, the operation is `fork.create/undo`. */
export interface JournalPoint {
  operation: string;
  /** The step's place in the plan, from 0. */
  step: number;
  /** `before`: the journal says that it begins. `after`: it is done, and the journal does not say so yet. */
  when: 'before' | 'after';
}

/**
 * Executes plans so that a kill at any point is finished or undone by the next start:
 * the journal says which step begins before it does, and every step may be repeated.
 */
export interface Runner {
  /**
   * Executes a plan. A step that fails before the commit is undone with all before it, and
   * its error is thrown. From the commit on it is tried again, and left to the next plan for
   * the same target, or to the next start. Throws `busy` while such a one cannot be ended.
   */
  run(plan: Plan, request: string, emit: (event: ProgressEvent) => void): Promise<void>;
  /** Finishes or undoes what an earlier daemon left; says what, in sentences. */
  recover(): Promise<string[]>;
}

export interface RunnerDeps {
  journal: Journal;
  executors: Executors;
  /** Milliseconds since 1970. */
  clock: () => number;
  log: Log;
  killAt?: (point: JournalPoint) => void | Promise<void>;
  /** Waits so many milliseconds. */
  pause?: (ms: number) => Promise<unknown>;
}

/** Tries of a step after the commit, and of taking one back, before it is left; milliseconds between them, times the try. */
const TRIES = 3;
const PAUSE = 100;

export function createRunner(deps: RunnerDeps): Runner {
  const { journal, log, clock, killAt = () => {} } = deps;
  /** Plans that neither ended nor are being worked on, by the journal's number. */
  const left = new Map(journal.open().map((entry) => [entry.id, entry]));

  async function forward({ id, plan, cursor }: JournalEntry, emit: (event: ProgressEvent) => void): Promise<void> {
    for (let at = cursor; at < plan.steps.length; at += 1) {
      const step = plan.steps[at] as Step;
      await killAt({ operation: plan.operation, step: at, when: 'before' });
      const failed = await attempt(deps, step, { tries: at < plan.commit ? 1 : TRIES, emit });
      if (failed !== undefined && at < plan.commit) {
        journal.move(id, at, 'undoing');
        throw await back({ id, plan, cursor: at }).then(
          () => failed.error,
          (error: unknown) => withWhy(failed.error, error),
        );
      }
      if (failed !== undefined) {
        journal.move(id, at, 'stuck');
        throw withWhy(failed.error, new Error(`${describe(plan)} is not finished yet`));
      }
      await killAt({ operation: plan.operation, step: at, when: 'after' });
      if (at + 1 < plan.steps.length) journal.move(id, at + 1, 'running');
    }
    journal.end(id);
  }

  /**
   * Takes back the step at the cursor and all before it. The journal says that one is taken back before
   * the next is: after a reset's old content was moved back, taking its copy back again would delete it.
   */
  async function back({ id, plan, cursor }: Pick<JournalEntry, 'id' | 'plan' | 'cursor'>): Promise<void> {
    const operation = `${plan.operation}/undo`;
    for (let at = cursor; at >= 0; at -= 1) {
      if (at < cursor) journal.move(id, at, 'undoing');
      const step = plan.steps[at] as Step;
      await killAt({ operation, step: at, when: 'before' });
      const failed = await attempt(deps, step, { tries: TRIES, undo: true });
      if (failed !== undefined) throw new Error(`${describe(plan)} is not undone yet: ${messageOf(failed.error)}`);
      await killAt({ operation, step: at, when: 'after' });
    }
    journal.end(id);
  }

  /** Ends a plan that was left, one way or the other. Its error where that cannot be. */
  async function settle({ id, plan, cursor, state }: JournalEntry): Promise<{ ended: boolean; said: string }> {
    const undo = state === 'undoing' || (state === 'running' && cursor < plan.commit);
    try {
      if (undo && state === 'running') journal.move(id, cursor, 'undoing');
      await (undo ? back({ id, plan, cursor }) : forward({ id, plan, cursor, state, request: '' }, () => {}));
      return { ended: true, said: `${describe(plan)} was ${undo ? 'undone' : 'finished'}` };
    } catch (error) {
      return {
        ended: false,
        said: `${describe(plan)} could not be ${undo ? 'undone' : 'finished'}: ${messageOf(error)}`,
      };
    } finally {
      remember(id);
    }
  }

  /** What the journal still says of a plan that is not worked on any more. */
  function remember(id: number): void {
    left.delete(id);
    for (const entry of journal.open()) if (entry.id === id) left.set(id, entry);
  }

  /** A plan must not start from what another one left half done. */
  async function settleBefore({ target }: Plan): Promise<void> {
    for (const entry of [...left.values()].filter(({ plan }) => plan.target === target)) {
      left.delete(entry.id);
      const { ended, said } = await settle(entry);
      log.warn('settled', { what: said });
      if (ended) continue;
      throw new AppError('busy', `Cannot work on "${target}": an earlier operation on it has not ended`, {
        why: `${said}.`,
        next: ['bulkhead doctor', 'the same command again'],
      });
    }
  }

  return {
    async run(plan, request, emit) {
      await settleBefore(plan);
      const entry = journal.begin(plan, request, clock());
      try {
        await forward(entry, emit);
      } catch (error) {
        remember(entry.id);
        throw error;
      }
    },
    async recover() {
      const said: string[] = [];
      // Not those of this daemon that are being worked on.
      const before = [...left.values()];
      for (const entry of before) {
        left.delete(entry.id);
        said.push((await settle(entry)).said);
      }
      return said;
    },
  };
}

/** Does a step, or takes it back, in so many tries. The error of the last one. */
async function attempt(
  { executors, log, pause = delay }: RunnerDeps,
  step: Step,
  how: { tries: number; undo?: true; emit?: (event: ProgressEvent) => void },
): Promise<{ error: unknown } | undefined> {
  const event = { type: 'step', key: step.do, label: step.label } as const;
  const started = performance.now();
  const emit = quietly(how.emit);
  emit({ ...event, state: 'started' });
  for (let count = 1; ; count += 1) {
    try {
      const outcome = await execute(executors, step, how.undo === true ? 'undo' : 'do');
      emit({ ...event, state: 'done', ms: performance.now() - started, ...outcome });
      return undefined;
    } catch (error) {
      if (count >= how.tries) {
        emit({ ...event, state: 'failed', ms: performance.now() - started });
        return { error };
      }
      log.warn('a step failed and is tried again', {
        step: step.do,
        undo: how.undo === true,
        count,
        error: messageOf(error),
      });
      await pause(PAUSE * count);
    }
  }
}

async function execute(
  executors: Executors,
  step: Step,
  what: 'do' | 'undo',
): Promise<{ detail?: string } | undefined> {
  // The table is typed by the steps: these arguments are this executor's. An older daemon may have journalled a step that is gone.
  const executor = executors[step.do] as Executors[typeof step.do] | undefined;
  if (executor === undefined) throw new AppError('failed', `This version does not know the step "${String(step.do)}"`);
  const outcome = await (executor[what] as (args: unknown) => Promise<{ detail?: string } | undefined>)(step.with);
  return outcome?.detail === undefined ? undefined : { detail: outcome.detail };
}

/** Whoever watches may be gone: that is no reason to undo anything. */
const quietly =
  (emit: (event: ProgressEvent) => void = () => {}) =>
  (event: ProgressEvent): void => {
    try {
      emit(event);
    } catch {
      // Nobody is there to be told.
    }
  };

const describe = (plan: Plan): string => `${plan.operation} of ${plan.target}`;
const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** The same error; why it is not the end of it stands in its `why`. */
function withWhy(error: unknown, more: unknown): AppError {
  const sentence = `${messageOf(more)}; the next operation on it or the next start tries again.`;
  if (!(error instanceof AppError)) return new AppError('failed', messageOf(error), { why: sentence, cause: error });
  const why = error.why === undefined ? sentence : `${error.why} ${sentence}`;
  return new AppError(error.code, error.message, { why, next: error.next, cause: error });
}
