import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { constants as os } from 'node:os';
import { Readable, Writable } from 'node:stream';
import { Worker } from 'node:worker_threads';
import { call, closeFd } from '../syscalls.ts';
import type { FromWorker, ToWorker, WorkerStart } from './attach-protocol.ts';

/** The streams of one session. */
export interface Attachment {
  stdin: Writable;
  stdout: Readable;
  stderr: Readable;
  /** The connection; undefined once it is closed. */
  fd(): number | undefined;
  /** Lets go; the session runs on, and what it writes from now on is not read here. */
  close(): void;
}

/** Carries the sessions' bytes by one thread. */
export interface Attacher {
  /** Takes over a connected socket of a supervisor. */
  attach(fd: number): Attachment;
  /** Ends the thread. */
  quit(): void;
}

const AF_UNIX = 1;
const SOCK_SEQPACKET = 5;
const SOCK_CLOEXEC = 0o2000000;
const O_PATH = 0o10000000;
/** Taken output is reported in steps of this many bytes. */
const REPORT = 128 << 10;

/**
 * Connects to the socket of a supervisor, in the session's directory. Goes by the
 * directory's descriptor, since a path of more than 107 bytes fits no socket address.
 */
export function connectSupervisor(directory: string): number {
  const at = openSync(directory, O_PATH | constants.O_DIRECTORY);
  try {
    const fd = call('socket', 'socket', AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    try {
      const address = Buffer.alloc(110);
      address.writeUInt16LE(AF_UNIX, 0);
      address.write(`/proc/self/fd/${at}/attach`, 2);
      call('connect', 'connect', fd, address, address.length);
      return fd;
    } catch (error) {
      closeFd(fd);
      throw error;
    }
  } finally {
    closeSync(at);
  }
}

interface Side {
  output: Record<'stdout' | 'stderr', Readable>;
  written: (() => void)[];
  closed: () => void;
}

/**
 * Starts the thread, from the file `worker`. It does not keep the process alive.
 * If it breaks, `broke` is called and its sessions' streams end; the sessions run on.
 */
export function createAttacher(worker: string | URL, broke: () => void): Attacher {
  const [readEnd, writeEnd] = pipe();
  const thread = new Worker(worker, { workerData: { wake: readEnd } satisfies WorkerStart });
  const sides = new Map<number, Side>();
  let last = 0;
  let over = false;

  const order = (message: ToWorker, transfer: ArrayBuffer[] = []): void => {
    if (over) return;
    thread.postMessage(message, transfer);
    wake(writeEnd);
  };
  const handle: { [K in FromWorker['is']]: (message: Extract<FromWorker, { is: K }>) => void } = {
    output: ({ key, stream, data }) => sides.get(key)?.output[stream].push(data),
    written: ({ key }) => sides.get(key)?.written.shift()?.(),
    closed: ({ key }) => {
      sides.get(key)?.closed();
      sides.delete(key);
    },
  };
  // The table has exactly the function for this message's type, which TypeScript cannot correlate.
  thread.on('message', (message: FromWorker) => (handle[message.is] as (message: FromWorker) => void)(message));

  const quit = (): void => {
    order({ do: 'quit' });
    over = true;
    process.off('exit', quit);
  };
  // Node waits for its threads when it ends, and this one waits in poll(2).
  process.on('exit', quit);
  // What broke it is told as the end of the streams.
  thread.on('error', () => {});
  thread.once('exit', () => {
    quit();
    broke();
    for (const side of sides.values()) side.closed();
    sides.clear();
    [readEnd, writeEnd].forEach(closeFd);
  });

  // After its listeners, which would take that back.
  thread.unref();

  return {
    quit,
    attach: (fd) => {
      const key = ++last;
      const { side, attachment } = createSide(key, fd, order);
      sides.set(key, side);
      order({ do: 'open', key, fd });
      return attachment;
    },
  };
}

function createSide(key: number, fd: number, order: (message: ToWorker, transfer?: ArrayBuffer[]) => void) {
  const written: (() => void)[] = [];
  const output = { stdout: new CountingReadable(taken), stderr: new CountingReadable(taken) };
  let unreported = 0;
  function taken(bytes: number): void {
    unreported += bytes;
    if (unreported < REPORT) return;
    order({ do: 'taken', key, bytes: unreported });
    unreported = 0;
  }
  const stdin = new Writable({
    highWaterMark: 256 << 10,
    write: (chunk: Buffer, _encoding, done) => {
      written.push(done);
      // A copy: what is handed over is gone here, and Node's buffers share their memory.
      const data = new Uint8Array(chunk);
      order({ do: 'write', key, data }, [data.buffer]);
    },
    final: (done) => {
      order({ do: 'end', key });
      done();
    },
  });
  stdin.on('error', () => {});
  let open = true;
  const closed = (): void => {
    open = false;
    closeFd(fd);
    for (const done of written.splice(0)) done();
    stdin.destroy();
    output.stdout.push(null);
    output.stderr.push(null);
  };
  const close = (): void => {
    if (open) order({ do: 'close', key });
  };
  const attachment: Attachment = { stdin, ...output, close, fd: () => (open ? fd : undefined) };
  return { side: { output, written, closed } satisfies Side, attachment };
}

/**
 * A stream that says how much of it was taken: what was pushed and lies in its
 * buffer no longer. It looks after each `read` and each `push`. `_read` would be
 * too early: Node calls it before it takes from the buffer what it returns, and
 * not again before the next `push`, which does not come while the window is full.
 */
class CountingReadable extends Readable {
  readonly #taken: (bytes: number) => void;
  #held = 0;

  constructor(taken: (bytes: number) => void) {
    super({ highWaterMark: 256 << 10 });
    this.#taken = taken;
  }

  override push(chunk: Uint8Array | null): boolean {
    this.#held += chunk?.length ?? 0;
    const more = super.push(chunk);
    this.#count();
    return more;
  }

  override read(size?: number): unknown {
    const chunk: unknown = super.read(size);
    this.#count();
    return chunk;
  }

  override _read(): void {}

  #count(): void {
    const bytes = this.#held - this.readableLength;
    this.#held -= bytes;
    if (bytes > 0) this.#taken(bytes);
  }
}

function pipe(): [number, number] {
  const fds = Buffer.alloc(8);
  call('pipe2', 'pipe2', fds, constants.O_NONBLOCK | 0o2000000);
  return [fds.readInt32LE(0), fds.readInt32LE(4)];
}

function wake(fd: number): void {
  try {
    writeSync(fd, '.');
  } catch (error) {
    // Full: the thread will look anyway.
    if ((error as NodeJS.ErrnoException).errno !== -os.errno.EAGAIN) throw error;
  }
}
