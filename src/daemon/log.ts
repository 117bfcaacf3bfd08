/** JSON lines on stderr, as journald likes them. Values must be plain data and no secrets. */
export interface Log {
  info(message: string, fields?: Record<string, unknown>): void;
  warn(message: string, fields?: Record<string, unknown>): void;
  error(message: string, fields?: Record<string, unknown>): void;
}

/** A log that writes with `write`, stamped by `clock` (milliseconds since 1970). */
export function createLog(write: (line: string) => void, clock: () => number): Log {
  const line =
    (level: string) =>
    (message: string, fields: Record<string, unknown> = {}) =>
      write(`${JSON.stringify({ at: new Date(clock()).toISOString(), level, message, ...fields })}\n`);
  return { info: line('info'), warn: line('warn'), error: line('error') };
}
