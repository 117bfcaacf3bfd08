import type { Id } from '../../core/ids.ts';
import type { FollowLog, LogLine } from '../cells.ts';

/** Adds text to a log. */
export type LogWriter = (stream: LogLine['stream'], text: string) => void;

/** The logs of cells without a machine, each bounded as its session asked. */
export function createMemoryLogs(clock: () => number) {
  interface Log {
    lines: LogLine[];
    limit: number;
    bytes: number;
    followers: Set<FollowLog>;
  }
  const all = new Map<string, Log>();
  const at = (cell: Id, session: Id): Log => {
    const key = `${cell}/${session}`;
    const known = all.get(key) ?? { lines: [], limit: 0, bytes: 0, followers: new Set() };
    all.set(key, known);
    return known;
  };
  return {
    open: (cell: Id, session: Id, limit: number): LogWriter => {
      const log = at(cell, session);
      log.limit = limit;
      return (stream, text) => {
        for (const piece of text.replace(/\n$/, '').split('\n')) {
          const line: LogLine = { at: new Date(clock()).toISOString(), stream, text: piece };
          log.lines.push(line);
          log.bytes += piece.length;
          while (log.bytes > log.limit) log.bytes -= log.lines.shift()?.text.length ?? log.bytes;
          for (const call of log.followers) void call([line]);
        }
      };
    },
    read: (cell: Id, session: Id): LogLine[] => at(cell, session).lines,
    forget: (cell: Id): void =>
      [...all.keys()].filter((key) => key.startsWith(`${cell}/`)).forEach((key) => all.delete(key)),
    follow: (cell: Id, session: Id, signal: AbortSignal, call: FollowLog, after?: string): Promise<void> =>
      new Promise((resolve) => {
        if (signal.aborted) return resolve();
        const log = at(cell, session);
        if (after !== undefined) void call(log.lines.filter((one) => one.at > after));
        log.followers.add(call);
        signal.addEventListener(
          'abort',
          () => {
            log.followers.delete(call);
            resolve();
          },
          { once: true },
        );
      }),
  };
}
