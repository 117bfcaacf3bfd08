import { AppError } from '../../contract/errors.ts';
import { refOf } from '../cell-spec.ts';
import type { Handler } from '../handler.ts';
import { needTarget } from '../shared.ts';

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
    const changes = await parts.audit.read({
      lines: LOOK_BACK,
      keep: (entry) => entry.target === refOf(record) && entry.phase === 'intent',
    });
    return {
      points: points.map((point, index) => ({
        id: point.id,
        name: point.name,
        created: new Date(point.at).toISOString(),
        after: changes
          .filter(
            (entry) =>
              Date.parse(entry.at) >= point.at && (index === 0 || Date.parse(entry.at) < (points[index - 1]?.at ?? 0)),
          )
          .map((entry) => ({ operation: entry.operation, caller: entry.caller.name, at: entry.at })),
      })),
    };
  },
};
