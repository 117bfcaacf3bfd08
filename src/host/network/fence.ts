import { open } from 'node:fs/promises';
import { call, closeFd, netnsCookie } from '../syscalls.ts';
import { type Hook, type Line, OP, assemble, attachProgram, closeProgram, loadProgram } from './bpf.ts';

/**
 * The fence around pasta: in the machine's own network namespace its sockets
 * reach no loopback. Root of a cell can route 127.0.0.1 into its way out, and
 * without the fence pasta carried that to the machine's own services.
 *
 * In other namespaces nothing is refused: pasta hands what came to a published
 * port on the machine's loopback to the loopback of the cell.
 */
export interface FenceRules {
  /** IPv4 loopback addresses of the machine's resolvers: port 53 there is admitted. */
  resolvers: readonly string[];
  /** An IPv4 address that exists nowhere, refused at once instead of after a time-out. */
  nowhere: string;
}

/** struct bpf_sock_addr (linux/bpf.h): where its members lie. All in network byte order. */
const CTX = { ip4: 4, ip6: 8, port: 24 } as const;
const GET_NETNS_COOKIE = 122;
/** htons(53) as a little-endian word. */
const DNS_PORT = 53 << 8;

const HOOKS: readonly Hook[] = ['connect4', 'connect6', 'sendmsg4', 'sendmsg6'];

/**
 * Puts the fence around the cgroup (v2) at `directory`: for every socket that is
 * made in it from then on. Repeating it replaces the rules. Throws `unsupported`.
 */
export async function fence(directory: string, rules: FenceRules): Promise<void> {
  const group = await open(directory, 'r');
  try {
    const home = homeCookie();
    for (const hook of HOOKS) {
      const program = loadProgram(hook, fenceCode(hook, home, rules));
      try {
        attachProgram(group.fd, hook, program);
      } finally {
        closeProgram(program);
      }
    }
  } finally {
    await group.close();
  }
}

/** Loads the fence without attaching it: whether this kernel can. Throws `unsupported`. */
export function tryFence(): void {
  const home = homeCookie();
  for (const hook of HOOKS)
    closeProgram(loadProgram(hook, fenceCode(hook, home, { resolvers: ['127.0.0.53'], nowhere: '169.254.77.1' })));
}

/** The program for a hook: returns 1 to admit an address, 0 to refuse it (EPERM). */
export function fenceCode(hook: Hook, home: bigint, rules: FenceRules): Buffer {
  const destination = hook.endsWith('4') ? lines4(rules) : lines6();
  return assemble([
    { op: OP.move, dst: 6, src: 1 },
    { op: OP.helper, imm: GET_NETNS_COOKIE },
    { load64: home, dst: 3 },
    { op: OP.ifNotSame64, dst: 0, src: 3, to: 'admit' },
    ...destination,
    { label: 'refuse' },
    { op: OP.set, dst: 0, imm: 0 },
    { op: OP.exit },
    { label: 'admit' },
    { op: OP.set, dst: 0, imm: 1 },
    { op: OP.exit },
  ]);
}

/** 127.0.0.0/8, and 0.0.0.0/8: connecting to 0.0.0.0 reaches loopback. */
function lines4({ resolvers, nowhere }: FenceRules): Line[] {
  return [
    { op: OP.load32, dst: 2, src: 6, off: CTX.ip4 },
    { op: OP.load32, dst: 4, src: 6, off: CTX.port },
    ...resolvers.flatMap((address, index): Line[] => [
      { op: OP.ifNotEqual32, dst: 2, imm: word(address), to: `after ${index}` },
      { op: OP.ifEqual32, dst: 4, imm: DNS_PORT, to: 'admit' },
      { label: `after ${index}` },
    ]),
    { op: OP.ifEqual32, dst: 2, imm: word(nowhere), to: 'refuse' },
    { op: OP.and, dst: 2, imm: 0xff },
    { op: OP.ifEqual32, dst: 2, imm: 127, to: 'refuse' },
    { op: OP.ifNotEqual32, dst: 2, imm: 0, to: 'admit' },
  ];
}

/**
 * All of ::/64: `::` and `::1`, and every IPv4 address in an IPv6 coat
 * (::ffff:127.0.0.1), which pasta has no use for: it speaks IPv4 through IPv4 addresses.
 */
function lines6(): Line[] {
  return [
    { op: OP.load32, dst: 2, src: 6, off: CTX.ip6 },
    { op: OP.ifNotEqual32, dst: 2, imm: 0, to: 'admit' },
    { op: OP.load32, dst: 2, src: 6, off: CTX.ip6 + 4 },
    { op: OP.ifNotEqual32, dst: 2, imm: 0, to: 'admit' },
  ];
}

/** An IPv4 address as a little-endian word. */
const word = (address: string): number => Buffer.from(address.split('.').map(Number)).readUInt32LE(0);

/** The cookie of the network namespace that this process is in: the machine's. */
function homeCookie(): bigint {
  const AF_INET = 2;
  const SOCK_DGRAM_CLOEXEC = 2 | 0o2000000;
  const fd = call('socket', 'socket', AF_INET, SOCK_DGRAM_CLOEXEC, 0);
  try {
    return netnsCookie(fd);
  } finally {
    closeFd(fd);
  }
}
