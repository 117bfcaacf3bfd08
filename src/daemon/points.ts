import type { ProgressEvent } from '../contract/events.ts';
import { formatMs } from '../contract/units.ts';
import { planForgetPoint, planPoint } from '../core/plans.ts';
import { pointIsDue, pointsToForget } from '../core/retention.ts';
import type { VolumeRecord } from '../store/volumes.ts';
import { refOf } from './cell-spec.ts';
import type { Parts } from './parts.ts';

/** What a point is taken before. */
export interface Change {
  operation: string;
  request: string;
}

/** Points of production: taken before each change, forgotten when their time is over. */
export interface Points {
  /** Takes a point of an app unless one was taken within the last minute. */
  before(record: VolumeRecord, what: Change, emit: (event: ProgressEvent) => void): Promise<void>;
  /** Deletes those that need not be kept. */
  forgetOld(): Promise<void>;
}

export function createPoints(parts: () => Parts): Points {
  const pending = new Map<string, Promise<void>>();

  async function take(record: VolumeRecord, what: Change, emit: (event: ProgressEvent) => void): Promise<void> {
    const { store, clock, run, newId } = parts();
    const now = clock();
    if (!pointIsDue(store.points.list(record.id)[0]?.at, now)) return;
    const started = performance.now();
    await run(
      planPoint(record.id, refOf(record), newId(), now, `${what.operation} ${what.request}`),
      newId(),
      () => {},
    );
    const at = new Date(now).toISOString().slice(11, 19);
    emit({ type: 'step', key: 'point', label: `point ${at}Z kept`, state: 'done', ms: performance.now() - started });
    parts().log.info('point taken', {
      ref: refOf(record),
      before: what.operation,
      took: formatMs(performance.now() - started),
    });
  }

  return {
    before(record, what, emit) {
      if (record.kind !== 'app') return Promise.resolve();
      // Two changes at once share one point: the second waits for the first's.
      const before = pending.get(record.id) ?? Promise.resolve();
      const mine = before.catch(() => {}).then(() => take(record, what, emit));
      pending.set(record.id, mine);
      return mine.finally(() => pending.get(record.id) === mine && pending.delete(record.id));
    },
    async forgetOld() {
      const { store, clock, run, newId } = parts();
      for (const app of store.volumes.list().filter((record) => record.kind === 'app' && record.state === 'ready'))
        for (const point of pointsToForget(store.points.list(app.id), clock()))
          await run(planForgetPoint(point.id, refOf(app)), newId(), () => {});
    },
  };
}
