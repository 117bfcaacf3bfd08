import type { Parts } from './parts.ts';
import type { Runner } from './journal-runner.ts';
import { noteEvent } from './service.ts';
import { sweep } from './sweep.ts';

/** Taking the machine's pool into use: at the start, when it is made, and when it has come back. */
export interface PoolStart {
  /** Mounts it and finishes what a crash left on it; once that has succeeded, nothing more. False: there is no pool to use. */
  take(): Promise<boolean>;
  /** Why there is a pool and it cannot be used; undefined: there is none, or it is in use. */
  problem(): string | undefined;
}

export function createPoolStart(parts: () => Parts, runner: Runner): PoolStart {
  let problem: string | undefined;
  let taking: Promise<boolean> | undefined;

  async function take(): Promise<boolean> {
    problem = undefined;
    try {
      if (!(await parts().volumes.open())) {
        // Once there was one: a new one is not what is wanted.
        if (parts().store.volumes.list().length > 0) problem = 'its file or device is not there';
        return false;
      }
      const said = [...(await runner.recover()), ...(await sweep(parts()))];
      parts().recovered.push(...said);
      for (const what of said) {
        parts().log.warn('recovered', { what });
        // The records of what was cut off have no outcome: this is it.
        await noteEvent(parts(), { by: 'recovery', operation: 'machine.recover', target: null, outcome: what });
      }
      return true;
    } catch (error) {
      problem = error instanceof Error ? error.message : String(error);
      parts().log.error('the pool cannot be used', { error: problem });
      return false;
    }
  }

  return {
    problem: () => problem,
    take() {
      taking ??= take().then((taken) => {
        if (!taken) taking = undefined;
        return taken;
      });
      return taking;
    },
  };
}
