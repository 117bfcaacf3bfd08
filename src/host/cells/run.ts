import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { RunLimits, RunResult, Session } from '../cells.ts';

/** Runs an opened session to its end, within limits, and ends all of it. */
export async function runSession(session: Session, limits: RunLimits): Promise<RunResult> {
  let cut: RunResult['cut'];
  let stop = (): void => {};
  const stopped = new Promise<void>((resolve) => (stop = resolve));
  const end = (why: NonNullable<RunResult['cut']>): void => {
    cut ??= why;
    stop();
  };
  const timer = setTimeout(() => end('deadline'), limits.deadline);
  const stdout = gather(session.stdout, limits.output, () => end('output'));
  const stderr = gather(session.stderr, limits.output, () => end('output'));
  if (limits.input === undefined) session.stdin.end();
  // The command may end before it has read all of its input: its exit code says what happened.
  else if (!(await feed(session, limits.input, stopped))) end('input');
  const finished = Promise.all([session.exit, stdout.done, stderr.done]).then(([code]) => code);
  const code = await Promise.race([finished, stopped]);
  clearTimeout(timer);
  await session.end();
  return {
    code: code ?? (await session.exit),
    stdout: stdout.bytes(),
    stderr: stderr.bytes(),
    ...(cut === undefined ? {} : { cut }),
  };
}

/** Milliseconds in which a command's own end is told, where it is why its input broke. */
const END_IS_TOLD = 1000;

/** False: the input broke off, and the command would wait for the rest of it for ever. */
async function feed(session: Session, input: Readable | Uint8Array, stopped: Promise<void>): Promise<boolean> {
  const source = input instanceof Readable ? input : Readable.from([input]);
  const over = Promise.race([stopped, session.exit]).then(() => true);
  const fed = pipeline(source, session.stdin).then(
    () => true,
    () => Promise.race([over, delay(END_IS_TOLD, false, { ref: false })]),
  );
  return Promise.race([fed, over]);
}

/** Keeps at most `limit` bytes; what is over is read and dropped. */
function gather(stream: Readable, limit: number, over: () => void): { done: Promise<void>; bytes: () => Buffer } {
  const chunks: Buffer[] = [];
  let size = 0;
  stream.on('data', (chunk: Buffer) => {
    const piece = chunk.subarray(0, Math.max(0, limit - size));
    if (piece.length > 0) chunks.push(piece);
    size += chunk.length;
    if (size > limit) over();
  });
  const done = new Promise<void>((resolve) => {
    stream.once('end', resolve);
    stream.once('close', resolve);
    stream.on('error', () => resolve());
  });
  return { done, bytes: () => Buffer.concat(chunks) };
}
