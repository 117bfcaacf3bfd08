import { AppError } from '../../contract/errors.ts';
import { callerName } from '../../core/caller.ts';
import { refOf } from '../cell-spec.ts';
import type { VolumeRecord } from '../../store/volumes.ts';
import type { Handler, Request } from '../handler.ts';
import { changesBetween, readProposal } from '../proposal.ts';
import { asItIs, holdTarget, needTarget } from '../shared.ts';

export const show: Handler<'config.show'> = {
  async run(request) {
    const accepted = request.parts.store.accepted.get(needTarget(request).id);
    return {
      accepted: accepted?.file ?? null,
      hash: accepted?.hash ?? null,
      by: accepted?.by ?? null,
      at: accepted === undefined ? null : new Date(accepted.at).toISOString(),
    };
  },
};

/**
 * Holds the name only where the cell is started for it. What runs in a cell may stop the helper that reads there, and
 * may ask for this itself: it would keep the person from `down`, and a fork the reaper from its end.
 */
async function withCell<T>(
  request: Request<'config.diff'> | Request<'config.accept'>,
  work: (record: VolumeRecord) => Promise<T>,
): Promise<T> {
  const record = asItIs(request);
  return request.parts.supervisor.running(record.id) ? work(record) : holdTarget(request, work);
}

export const diff: Handler<'config.diff'> = {
  async run(request) {
    const { parts } = request;
    return withCell(request, async (record) => {
      const proposal = await readProposal(parts, record);
      return { changes: changesBetween(parts.store.accepted.get(record.id), proposal), hash: proposal?.hash ?? null };
    });
  },
};

export const accept: Handler<'config.accept'> = {
  async run(request) {
    const { parts, input, caller } = request;
    const record = needTarget(request);
    const ref = refOf(record);
    if (record.kind !== 'app')
      throw new AppError(
        'wrong-state',
        `"${ref}" is a fork: what counts for it is the accepted file of "${record.app}"`,
        {
          next: [`bulkhead config diff ${record.app}`],
        },
      );
    return withCell(request, async () => {
      const proposal = await readProposal(parts, record);
      if (proposal === undefined)
        throw new AppError('not-found', `There is no bulkhead.yaml in "${ref}"`, {
          next: ['bulkhead help bulkhead.yaml'],
        });
      if (input.hash !== undefined && input.hash !== proposal.hash)
        throw new AppError('wrong-state', `The bulkhead.yaml of "${ref}" has changed since it was shown`, {
          next: [`bulkhead config diff ${ref}`],
        });
      asItIs(request);
      parts.store.accepted.put({ id: record.id, ...proposal, by: callerName(caller), at: parts.clock() });
      return { ref, hash: proposal.hash };
    });
  },
};
