import assert from 'node:assert/strict';
import { constants } from 'node:os';
import { after, before, test } from 'node:test';
import { makeCell, type CellBench } from '../../../test/builders/cell.ts';
import { exec } from '../exec.ts';
import { DENIALS, type Denial } from './seccomp.ts';

/** Numbers of the calls on x86-64, which these tests are written for. */
const NUMBERS: Record<string, number> = {
  ioctl: 16,
  socket: 41,
  socketpair: 53,
  clone: 56,
  syslog: 103,
  vhangup: 153,
  adjtimex: 159,
  acct: 163,
  settimeofday: 164,
  swapon: 167,
  swapoff: 168,
  reboot: 169,
  iopl: 172,
  ioperm: 173,
  init_module: 175,
  delete_module: 176,
  quotactl: 179,
  nfsservctl: 180,
  lookup_dcookie: 212,
  clock_settime: 227,
  kexec_load: 246,
  add_key: 248,
  request_key: 249,
  keyctl: 250,
  unshare: 272,
  perf_event_open: 298,
  open_by_handle_at: 304,
  clock_adjtime: 305,
  finit_module: 313,
  kexec_file_load: 320,
  bpf: 321,
  userfaultfd: 323,
  io_uring_setup: 425,
  io_uring_enter: 426,
  io_uring_register: 427,
  open_tree: 428,
  move_mount: 429,
  fsopen: 430,
  fsconfig: 431,
  fsmount: 432,
  fspick: 433,
  clone3: 435,
  mount_setattr: 442,
  quotactl_fd: 443,
};

/** 32-bit architectures alone have these. */
const NOT_HERE = ['clock_settime64', 'clock_adjtime64', 'stime'];

/** Bits that the kernel does not look at, in an argument of 32 bits. */
const HIGH = [0n, 1n << 32n, 1n << 63n, 0xffffffffn << 32n];

interface Case {
  name: string;
  number: number;
  /** Decimal, as JSON has no 64-bit numbers. */
  args: string[];
  errno: number;
}

function casesOf({ calls, when = [], errno }: Denial): Case[] {
  return calls
    .filter((call) => !NOT_HERE.includes(call))
    .flatMap((call) =>
      (when.length === 0 ? [0n] : HIGH).map((high) => {
        // `fd` stands for a terminal's descriptor, which the script puts in; type 1 is SOCK_STREAM, 3 SOCK_RAW.
        const args =
          call === 'ioctl'
            ? ['fd', '0', '0', '0', '0']
            : call.startsWith('socket')
              ? ['0', '3', '0', '0', '0']
              : ['0', '0', '0', '0', '0'];
        for (const { index, value } of when) args[index] = String(BigInt(value) | high);
        return {
          name: `${call}(${args.join(', ')})`,
          number: NUMBERS[call] ?? assert.fail(`no number of ${call}`),
          args,
          errno,
        };
      }),
    );
}

const CASES = DENIALS.flatMap(casesOf);

/** Makes each call in a process of its own; prints their errnos, 0 for a success. */
const SCRIPT = `
import ctypes, json, os, sys
libc = ctypes.CDLL(None, use_errno=True)
terminal, other = os.openpty()
results = []
for number, args in json.loads(sys.stdin.read()):
    child = os.fork()
    if child == 0:
        values = [ctypes.c_ulong(terminal if value == 'fd' else int(value)) for value in args]
        result = libc.syscall(ctypes.c_long(number), *values)
        os._exit(ctypes.get_errno() if result < 0 else 0)
    results.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(json.dumps(results))
`;

const INPUT = JSON.stringify(CASES.map(({ number, args }) => [number, args]));

let bench: CellBench;
before(async () => {
  bench = makeCell('seccomp');
  await bench.cells.start(bench.spec);
});
after(() => bench.remove());

const inCell = async (script: string, input = ''): Promise<string> => {
  const result = await bench.run(`exec /usr/bin/python3 -c '${script}'`, { input: Buffer.from(input) });
  assert.equal(result.code, 0, result.stderr.toString());
  return result.stdout.toString();
};

test('every denial gives its errno, with any bits above the 32nd', async () => {
  const results = JSON.parse(await inCell(SCRIPT.replaceAll("'", '"'), INPUT)) as number[];
  const wrong = CASES.map((one, at) => ({ ...one, got: results[at] })).filter(({ errno, got }) => errno !== got);
  assert.deepEqual(wrong, []);
  assert.ok(CASES.length > 300);
});

test('without the filter the same calls are not refused: it is the filter that the test above sees', async () => {
  const plain = ['--reuid', '65534', '--regid', '65534', '--clear-groups', '--no-new-privs', '--bounding-set', '-all'];
  const { stdout } = await exec('setpriv', [...plain, '/usr/bin/python3', '-c', SCRIPT], { input: INPUT });
  const results = JSON.parse(stdout) as number[];
  const open = new Set(
    CASES.filter(({ errno }, at) => results[at] !== errno).map(({ name }) => name.replace(/\(.*/, '')),
  );
  for (const call of [
    'socket',
    'ioctl',
    'unshare',
    'clone',
    'clone3',
    'keyctl',
    'add_key',
    'io_uring_setup',
    'fsopen',
    'open_tree',
  ])
    assert.ok(open.has(call), `${call} is refused outside as well`);
});

test('sockets that programs need can be opened', async () => {
  const script =
    'import socket; [socket.socket(f, t) for f in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6) for t in (1, 2)]; socket.socket(16, 3, 0)';
  await inCell(script);
});

test('calls by another architecture’s numbers end the process', async () => {
  const script = `
import ctypes, mmap, os
def ending(call):
    child = os.fork()
    if child == 0:
        call()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
def i386():
    page = mmap.mmap(-1, 4096, prot=7)
    page.write(bytes([0xb8, 20, 0, 0, 0, 0xcd, 0x80, 0xc3]))
    ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
print(ending(i386), ending(lambda: ctypes.CDLL(None).syscall(0x40000000 | 39)))
`;
  const [i386, x32] = (await inCell(script)).trim().split(' ').map(Number);
  const { SIGSYS, SIGSEGV } = constants.signals;
  // A kernel without the 32-bit entry answers with SIGSEGV.
  assert.ok(i386 === -SIGSYS || i386 === -SIGSEGV, `i386: ${i386}`);
  assert.equal(x32, -SIGSYS);
});
