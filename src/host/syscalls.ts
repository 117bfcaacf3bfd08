import { constants } from 'node:os';
import koffi from 'koffi';

/**
 * System calls that Node does not have. The only file that loads koffi.
 *
 * A synchronous call stops the event loop for its whole length, so whatever may
 * wait for a disk goes through `callAsync`, on a thread of libuv's pool. koffi
 * keeps errno for each call; it is read first thing in the callback.
 * Namespace calls (unshare, setns) would move one thread only: they belong in child processes.
 */
const libc = koffi.load('libc.so.6');

const native = {
  ioctl: libc.func('int ioctl(int fd, unsigned long request, void *argument)'),
  syscall: libc.func('long syscall(long number, long a, long b, long c, long d, long e, long f)'),
  /** The same call with pointers where buffers go. */
  syscallPointers: libc.func('long syscall(long number, long a, void *b, long c, void *d, long e, long f)'),
  getsockopt: libc.func('int getsockopt(int fd, int level, int name, void *value, void *length)'),
  poll: libc.func('int poll(void *fds, unsigned long count, int timeout)'),
  recv: libc.func('long recv(int fd, void *buffer, size_t length, int flags)'),
  send: libc.func('long send(int fd, void *buffer, size_t length, int flags)'),
  socket: libc.func('int socket(int domain, int type, int protocol)'),
  connect: libc.func('int connect(int fd, void *address, unsigned int length)'),
  shutdown: libc.func('int shutdown(int fd, int how)'),
  close: libc.func('int close(int fd)'),
  pipe2: libc.func('int pipe2(void *fds, int flags)'),
  fcntl: libc.func('int fcntl(int fd, int command, long argument)'),
};

const ERRNO_NAMES = new Map(Object.entries(constants.errno).map(([name, value]) => [value, name]));

/** A system call that failed: which, why, and its errno's name. */
export class SyscallError extends Error {
  readonly call: string;
  readonly errno: number;
  readonly code: string;

  constructor(call: string, errno: number) {
    const code = ERRNO_NAMES.get(errno) ?? `errno ${errno}`;
    super(`${call}: ${code}`);
    this.name = 'SyscallError';
    this.call = call;
    this.errno = errno;
    this.code = code;
  }
}

type Native = typeof native;

/** Calls and returns the result; throws `SyscallError` on a negative one. */
export function call(name: keyof Native, label: string, ...args: unknown[]): number {
  const result = Number(native[name](...args));
  if (result < 0) throw new SyscallError(label, koffi.errno());
  return result;
}

/** Calls and returns the result, or the negated errno. */
export function tryCall(name: keyof Native, ...args: unknown[]): number {
  const result = Number(native[name](...args));
  return result < 0 ? -koffi.errno() : result;
}

/** The same on a thread of libuv's pool, for what may wait. */
export function callAsync(name: keyof Native, label: string, ...args: unknown[]): Promise<number> {
  return new Promise((resolve, reject) => {
    native[name].async(...args, (error: unknown, value: number | bigint) => {
      const errno = koffi.errno();
      const result = Number(value);
      if (error) reject(error instanceof Error ? error : new Error(String(error)));
      else if (result < 0) reject(new SyscallError(label, errno));
      else resolve(result);
    });
  });
}

/** The address of a buffer's first byte, for structures that hold pointers. The caller keeps the buffer alive. */
export function addressOf(buffer: Uint8Array): bigint {
  return koffi.address(buffer);
}

const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
/** Linux 6.5. */
const SO_PEERPIDFD = 77;

/** Who made the connection, as of connect(2) (unix(7)). */
export function peerCredentials(fd: number): { pid: number; uid: number; gid: number } {
  const value = Buffer.alloc(12);
  getsockopt(fd, SO_PEERCRED, value, 'SO_PEERCRED');
  return { pid: value.readInt32LE(0), uid: value.readUInt32LE(4), gid: value.readUInt32LE(8) };
}

/** A pidfd of the process that made the connection: never another one that got its number. Close it with `closeFd`. */
export function peerPidfd(fd: number): number {
  const value = Buffer.alloc(4);
  getsockopt(fd, SO_PEERPIDFD, value, 'SO_PEERPIDFD');
  return value.readInt32LE(0);
}

/** The kernel's cookie of the network namespace that `fd`'s socket lives in (SO_NETNS_COOKIE, Linux 5.14). */
export function netnsCookie(fd: number): bigint {
  const value = Buffer.alloc(8);
  getsockopt(fd, 71, value, 'SO_NETNS_COOKIE');
  return value.readBigUInt64LE(0);
}

function getsockopt(fd: number, name: number, value: Buffer, label: string): void {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(value.length);
  call('getsockopt', label, fd, SOL_SOCKET, name, value, length);
}

const SYS_PIDFD_SEND_SIGNAL = 424;
const SYS_PIDFD_OPEN = 434;

/** A pidfd of a process by number (Linux 5.3); undefined when there is none. */
export function pidfdOpen(pid: number): number | undefined {
  const fd = tryCall('syscall', SYS_PIDFD_OPEN, pid, 0, 0, 0, 0, 0);
  return fd < 0 ? undefined : fd;
}

/** True while the process behind a pidfd has not been reaped. */
export function pidfdAlive(pidfd: number): boolean {
  return tryCall('syscall', SYS_PIDFD_SEND_SIGNAL, pidfd, 0, 0, 0, 0, 0) === 0;
}

export function closeFd(fd: number): void {
  tryCall('close', fd);
}
