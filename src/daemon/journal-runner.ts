import type { ProgressEvent } from '../contract/events.ts';
import type { Plan, Step } from '../core/steps.ts';
import type { Journal, JournalEntry } from '../store/journal.ts';
import type { Log } from './log.ts';
import type { Executors } from './steps.ts';

/** A journalled place in a plan; kill tests end the daemon there. */
export interface JournalPoint {
  operation: string;
  step: number;
  when: 'before' | 'after';
}

/** Executes plans so that a kill at any point is finished or undone by the next start. */
export interface Runner {
  /** Executes a plan. A failure before its commit is undone, and thrown; one after it is tried again. */
  run(plan: Plan, request: string, emit: (event: ProgressEvent) => void): Promise<void>;
  /** Finishes or undoes what an earlier daemon left; says what, in sentences. */
  recover(): Promise<string[]>;
}

export interface RunnerDeps {
  journal: Journal;
  executors: Executors;
  clock: () => number;
  log: Log;
  killAt?: (point: JournalPoint) => void;
}

/** Tries of a step after the commit, before it is left to the next start. */
const TRIES = 3;

export function createRunner({ journal, executors, clock, log, killAt = () => {} }: RunnerDeps): Runner {
  const execute = (what: 'do' | 'undo', step: Step): Promise<void> =>
    // The table is typed by the steps: a step's arguments are those of its executor.
    (executors[step.do][what] as (args: unknown) => Promise<void>)(step.with);

  async function forward(entry: JournalEntry, emit: (event: ProgressEvent) => void): Promise<void> {
    const { plan } = entry;
    for (let at = entry.cursor; at < plan.steps.length; at += 1) {
      const step = plan.steps[at] as Step;
      killAt({ operation: plan.operation, step: at, when: 'before' });
      try {
        await timed(step, emit, () => (at < plan.commit ? execute('do', step) : insist(step)));
      } catch (error) {
        if (at < plan.commit) await back({ ...entry, cursor: at });
        else journal.move(entry.id, at, 'stuck');
        throw error;
      }
      killAt({ operation: plan.operation, step: at, when: 'after' });
      if (at + 1 < plan.steps.length) journal.move(entry.id, at + 1, 'running');
    }
    journal.end(entry.id);
  }

  async function insist(step: Step): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await execute('do', step);
      } catch (error) {
        if (attempt >= TRIES) throw error;
        log.warn('step failed, trying again', { step: step.do, attempt, error: String(error) });
        await new Promise((resolve) => setTimeout(resolve, 100 * attempt));
      }
    }
  }

  async function back(entry: JournalEntry): Promise<void> {
    const { plan } = entry;
    for (let at = entry.cursor; at >= 0; at -= 1) {
      journal.move(entry.id, at, 'undoing');
      const step = plan.steps[at] as Step;
      await execute('undo', step).catch((error: unknown) => {
        // Left in the journal: the next start goes on from here.
        log.error('a step could not be undone', { step: step.do, target: plan.target, error: String(error) });
        throw error;
      });
    }
    journal.end(entry.id);
  }

  async function recoverOne(entry: JournalEntry): Promise<string> {
    const { plan, state } = entry;
    const what = `${plan.operation} of ${plan.target}`;
    const undo = state === 'undoing' || (state === 'running' && entry.cursor < plan.commit);
    try {
      if (undo) await back(entry);
      else await forward(entry, () => {});
      return undo ? `${what} was undone` : `${what} was finished`;
    } catch (error) {
      return `${what} could not be ${undo ? 'undone' : 'finished'}: ${error instanceof Error ? error.message : String(error)}`;
    }
  }

  return {
    async run(plan, request, emit) {
      const id = journal.begin(plan, request, clock());
      await forward({ id, plan, request, cursor: 0, state: 'running' }, emit);
    },
    async recover() {
      const said: string[] = [];
      for (const entry of journal.open()) said.push(await recoverOne(entry));
      return said;
    },
  };
}

async function timed(step: Step, emit: (event: ProgressEvent) => void, work: () => Promise<void>): Promise<void> {
  const event = { type: 'step', key: step.do, label: step.label } as const;
  const started = performance.now();
  emit({ ...event, state: 'started' });
  try {
    await work();
  } catch (error) {
    emit({ ...event, state: 'failed', ms: performance.now() - started });
    throw error;
  }
  emit({ ...event, state: 'done', ms: performance.now() - started });
}
