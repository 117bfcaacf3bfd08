import { AppError } from '../../contract/errors.ts';
import type { AuditRecord } from '../../contract/authority.ts';
import type { Caller } from '../../core/caller.ts';
import type { Handler } from '../handler.ts';

const LINES = 50;
const LINES_MOST = 1000;

/** Who has not signed in sees its own uid's records; a cell sees what came through its own socket. */
function maySee(caller: Caller): (record: AuditRecord) => boolean {
  if (caller.kind === 'person' || caller.kind === 'service') return () => true;
  return (record) => record.caller.uid === caller.uid;
}

export const log: Handler<'audit.log'> = {
  async run({ parts, input, caller }) {
    const mine = maySee(caller);
    const keep = (record: AuditRecord): boolean =>
      mine(record) &&
      (input.ref === undefined || record.target === input.ref) &&
      (input.refused !== true || record.outcome === 'refused');
    return { records: await parts.audit.read({ lines: Math.min(input.lines ?? LINES, LINES_MOST), keep }) };
  },
};

export const tail: Handler<'audit.tail'> = {
  async run({ parts, caller, stream }) {
    if (stream === undefined) throw new AppError('usage', 'The tail of the audit log is a stream');
    const mine = maySee(caller);
    const end = parts.audit.tail((record) => {
      if (mine(record)) void stream.write(1, Buffer.from(`${JSON.stringify(record)}\n`));
    });
    await new Promise<void>((resolve) => {
      if (stream.gone.aborted) resolve();
      stream.gone.addEventListener('abort', () => resolve(), { once: true });
    });
    end();
    return {};
  },
};

export const verify: Handler<'audit.verify'> = { run: ({ parts }) => parts.audit.verify() };
