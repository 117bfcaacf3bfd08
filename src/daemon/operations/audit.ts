import { AppError } from '../../contract/errors.ts';
import type { AuditRecord } from '../../contract/authority.ts';
import type { Caller } from '../../core/caller.ts';
import type { Handler } from '../handler.ts';
import { inTurn } from '../shared.ts';

const LINES = 50;
const LINES_MOST = 1000;
/** Bytes that a client of the tail may be behind: the daemon does not keep them for long. */
const BEHIND_MOST = 4 << 20;

const tooSlow = (): AppError =>
  new AppError('too-many', 'More was recorded than this client has read', {
    next: ['bulkhead audit tail', 'bulkhead audit log -n 1000'],
  });

/** Who has not signed in sees its own uid's records; a cell sees what came through its own socket. */
function maySee(caller: Caller): (record: AuditRecord) => boolean {
  if (caller.kind === 'person' || caller.kind === 'service') return () => true;
  return (record) => record.caller.uid === caller.uid;
}

export const log: Handler<'audit.log'> = {
  async run(request) {
    const { parts, input, caller } = request;
    const mine = maySee(caller);
    const keep = (record: AuditRecord): boolean =>
      mine(record) &&
      (input.ref === undefined || record.target === input.ref) &&
      (input.refused !== true || record.outcome === 'refused');
    const lines = Math.min(input.lines ?? LINES, LINES_MOST);
    return { records: await inTurn(request, () => parts.audit.read({ lines, keep })) };
  },
};

export const tail: Handler<'audit.tail'> = {
  async run({ parts, caller, stream }) {
    if (stream === undefined) throw new AppError('usage', 'The tail of the audit log is a stream');
    const mine = maySee(caller);
    const ended = Promise.withResolvers<void>();
    let waiting = 0;
    const end = parts.audit.tail((record) => {
      if (!mine(record)) return;
      const line = Buffer.from(`${JSON.stringify(record)}\n`);
      waiting += line.length;
      if (waiting > BEHIND_MOST) return ended.reject(tooSlow());
      void stream.write(1, line).then(() => (waiting -= line.length));
    });
    if (stream.gone.aborted) ended.resolve();
    stream.gone.addEventListener('abort', () => ended.resolve(), { once: true });
    await ended.promise.finally(end);
    return {};
  },
};

export const verify: Handler<'audit.verify'> = {
  run: (request) => inTurn(request, () => request.parts.audit.verify()),
};
