import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { SyscallError, call, closeFd } from '../syscalls.ts';

/**
 * A program for tests: reads attempts to reach something as JSON from stdin, makes
 * them one after the other, and writes how each ended. It runs in namespaces that
 * are not its caller's, so it stands alone.
 */
export type Attempt =
  | { kind: 'tcp'; host: string; port: number; from?: string }
  | { kind: 'udp'; host: string; port: number; from?: string }
  | { kind: 'ping'; host: string };

export interface Outcome {
  /** What came back; null: nothing did. */
  answer: string | null;
  /** The error's code, or `silence` where neither came in time. */
  error: string | null;
  /** Milliseconds. */
  ms: number;
}

type Result = Omit<Outcome, 'ms'>;

/** Milliseconds. */
const PATIENCE = 400;

function tcp({ host, port, from }: { host: string; port: number; from?: string }): Promise<Result> {
  return new Promise((resolve) => {
    const socket = connect({
      host,
      port,
      ...(from === undefined ? {} : { localAddress: from }),
      autoSelectFamily: false,
    });
    let answer = '';
    const settle = (result: Result): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(result);
    };
    const timer = setTimeout(() => settle({ answer: null, error: 'silence' }), PATIENCE);
    // The client speaks first: behind an older pasta, a server that does is not heard.
    socket.on('connect', () => socket.write('hello'));
    socket.on('data', (chunk) => (answer += String(chunk)));
    socket.on('end', () => settle({ answer, error: null }));
    socket.on('error', (error: NodeJS.ErrnoException) => settle({ answer: null, error: error.code ?? 'unknown' }));
  });
}

function udp({ host, port, from }: { host: string; port: number; from?: string }): Promise<Result> {
  return new Promise((resolve) => {
    const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
    const settle = (result: Result): void => {
      clearTimeout(timer);
      socket.removeAllListeners('error').on('error', () => {});
      socket.close();
      resolve(result);
    };
    const timer = setTimeout(() => settle({ answer: null, error: 'silence' }), PATIENCE);
    const failed = (error: NodeJS.ErrnoException | null): void => {
      if (error) settle({ answer: null, error: error.code ?? 'unknown' });
    };
    socket.on('message', (message) => settle({ answer: String(message), error: null }));
    socket.on('error', failed);
    socket.bind(0, from, () => {
      // Connected: or the kernel keeps the refusal to itself (udp(7)).
      socket.connect(port, host, (error?: Error) =>
        error === undefined ? socket.send('hello', failed) : failed(error),
      );
    });
  });
}

/** An ICMP echo by a raw socket: root of the cell may open one, while no seccomp profile forbids it. */
function ping({ host }: { host: string }): Result {
  const [AF_INET, SOCK_RAW, IPPROTO_ICMP, POLLIN, EAGAIN_NONE] = [2, 3, 1, 1, 0] as const;
  const fd = call('socket', 'socket', AF_INET, SOCK_RAW, IPPROTO_ICMP);
  try {
    call('connect', 'connect', fd, socketAddress(host), 16);
    call('send', 'send', fd, Buffer.from('0800f7fd00010001', 'hex'), 8, 0);
    const wait = Buffer.alloc(8);
    wait.writeInt32LE(fd, 0);
    wait.writeInt16LE(POLLIN, 4);
    if (call('poll', 'poll', wait, 1, PATIENCE) === EAGAIN_NONE) return { answer: null, error: 'silence' };
    const packet = Buffer.alloc(128);
    call('recv', 'recv', fd, packet, packet.length, 0);
    return { answer: `icmp type ${packet[(packet.readUInt8(0) & 15) * 4]}`, error: null };
  } catch (error) {
    if (error instanceof SyscallError) return { answer: null, error: error.code };
    throw error;
  } finally {
    closeFd(fd);
  }
}

/** struct sockaddr_in without a port. */
function socketAddress(host: string): Buffer {
  const address = Buffer.alloc(16);
  address.writeUInt16LE(2, 0);
  Buffer.from(host.split('.').map(Number)).copy(address, 4);
  return address;
}

async function make(attempt: Attempt): Promise<Outcome> {
  const started = performance.now();
  const result =
    attempt.kind === 'tcp' ? await tcp(attempt) : attempt.kind === 'udp' ? await udp(attempt) : ping(attempt);
  return { ...result, ms: Math.round(performance.now() - started) };
}

const outcomes: Outcome[] = [];
for (const attempt of JSON.parse(await text(process.stdin)) as Attempt[]) outcomes.push(await make(attempt));
process.stdout.write(JSON.stringify(outcomes));
