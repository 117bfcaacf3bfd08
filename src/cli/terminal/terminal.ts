import { createPaint, type Paint } from './paint.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** Where a command reads and writes. */
export interface Terminal {
  stdin: NodeJS.ReadStream;
  stdout: NodeJS.WriteStream;
  stderr: NodeJS.WriteStream;
  env: Environment;
  /** Milliseconds since 1970. */
  now: () => number;
  /** Colours for standard output, and for standard error. */
  paint: Paint;
  paintError: Paint;
  /** Columns of standard output; undefined: it is no terminal, and nothing is cut or broken. */
  width: number | undefined;
  /** The same of standard error. */
  widthError: number | undefined;
  /** A result, on standard output. */
  print(lines: readonly string[]): void;
  /** What is said beside it, on standard error. */
  say(lines: readonly string[]): void;
  /** One JSON object, one line, on standard output. */
  json(value: unknown): void;
  /** Resolves when everything written has left. */
  flush(): Promise<void>;
}

/** Lines are never wider: the eye loses them. */
const WIDEST = 100;

/** The terminal of a process. */
export function createTerminal(process: NodeJS.Process): Terminal {
  const { stdout, stderr, env } = process;
  const write = (to: NodeJS.WriteStream, lines: readonly string[]): void => {
    if (lines.length > 0) to.write(`${lines.join('\n')}\n`);
  };
  return {
    // Touched only by who reads it: that it is opened at all can matter to whoever gave it to us.
    get stdin() {
      return process.stdin as NodeJS.ReadStream;
    },
    stdout,
    stderr,
    env,
    now: () => Date.now(),
    paint: createPaint(stdout, env),
    paintError: createPaint(stderr, env),
    width: widthOf(stdout),
    widthError: widthOf(stderr),
    print: (lines) => write(stdout, lines),
    say: (lines) => write(stderr, lines),
    json: (value) => void stdout.write(`${JSON.stringify(value)}\n`),
    async flush() {
      await Promise.all(
        [stdout, stderr].map((to) => new Promise<void>((resolve) => void to.write('', () => resolve()))),
      );
    },
  };
}

const widthOf = (stream: NodeJS.WriteStream): number | undefined =>
  stream.isTTY ? Math.min(WIDEST, Math.max(40, stream.columns || 80)) : undefined;

/** Writes bytes; resolves when the stream takes more, or nobody reads it any longer. */
export function pour(to: NodeJS.WriteStream, bytes: Uint8Array): Promise<void> | void {
  if (to.write(bytes)) return;
  return new Promise((resolve) => {
    const done = (): void => {
      to.off('drain', done);
      to.off('close', done);
      resolve();
    };
    to.on('drain', done);
    to.on('close', done);
  });
}
