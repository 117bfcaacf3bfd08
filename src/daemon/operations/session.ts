import { AppError } from '../../contract/errors.ts';
import { parseId } from '../../core/ids.ts';
import { ownerOf } from '../../core/caller.ts';
import { refOf } from '../cell-spec.ts';
import type { Handler } from '../handler.ts';
import { asItIs, needTarget } from '../shared.ts';

export const exec: Handler<'session.exec'> = {
  async run(request) {
    const { parts, input, stream, caller } = request;
    const seen = needTarget(request);
    if (stream === undefined) throw new AppError('usage', 'A session is a stream');
    if (input.command.length === 0)
      throw new AppError('usage', 'There is no command to run', {
        next: [`bulkhead exec ${refOf(seen)} -- ls`, `bulkhead shell ${refOf(seen)}`],
      });
    parts.locks.demandFree(refOf(seen));
    const record = asItIs(request);
    parts.reaper.demandRoom(record);
    await parts.supervisor.ensureCell(record);
    const code = await parts.sessions.start(record, ownerOf(caller), stream, {
      command: input.command,
      stdin: input.interactive === true,
      ...(input.directory === undefined ? {} : { directory: input.directory }),
      ...(input.terminal === true
        ? {
            terminal: { rows: input.rows ?? 24, columns: input.columns ?? 80 },
            environment: { TERM: input.term ?? 'xterm' },
          }
        : {}),
    });
    return { code };
  },
};

export const attach: Handler<'session.attach'> = {
  async run(request) {
    const { parts, input, stream, caller } = request;
    const record = needTarget(request);
    const session = parseId(input.session);
    if (stream === undefined || session === undefined)
      throw new AppError('usage', 'A session is a stream, and has a UUID');
    return { code: await parts.sessions.attach(record, session, ownerOf(caller), stream) };
  },
};
