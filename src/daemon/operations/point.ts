import { AppError } from '../../contract/errors.ts';
import { changesAfter } from '../../core/point-history.ts';
import { refOf } from '../cell-spec.ts';
import type { Handler } from '../handler.ts';
import { inTurn, needTarget } from '../shared.ts';

/** Records that are looked through for what came after a point. */
const LOOK_BACK = 1000;

export const list: Handler<'point.list'> = {
  async run(request) {
    const { parts } = request;
    const record = needTarget(request);
    if (record.kind !== 'app')
      throw new AppError('wrong-state', `"${refOf(record)}" is a fork: points are taken of apps`, {
        next: [`bulkhead points ${record.app}`],
      });
    const points = parts.store.points.list(record.id);
    const recorded = await inTurn(request, () =>
      parts.audit.read({
        lines: LOOK_BACK,
        keep: (entry) => entry.target === refOf(record) && entry.phase === 'intent',
      }),
    );
    const changes = recorded.map((entry) => ({ request: entry.request, at: Date.parse(entry.at), entry }));
    return {
      points: points.map((point, index) => ({
        id: point.id,
        name: point.name,
        created: new Date(point.at).toISOString(),
        after: changesAfter(point, points[index - 1], changes).map(({ entry }) => ({
          operation: entry.operation,
          caller: entry.caller.name,
          at: entry.at,
        })),
      })),
    };
  },
};
