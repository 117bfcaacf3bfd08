import { closeSync, openSync } from 'node:fs';
import { addressOf, call, closeFd, netnsCookie, tryCall } from '../syscalls.ts';

/**
 * A BPF program on a cgroup that refuses connect(2) and sendmsg(2) to loopback, for
 * sockets of this network namespace alone: pasta carries what a cell sends, and
 * without the fence the cell's root reached 127.0.0.1 of the machine by a route into
 * the tap. What pasta does inside the cell's namespace stays allowed.
 *
 * Port 53 of the machine's configured loopback resolvers is admitted.
 * Instruction encoding and helper numbers: linux/bpf.h; attach types since Linux 4.17.
 */
const SYS_BPF = 321;
const BPF_PROG_LOAD = 5;
const BPF_PROG_ATTACH = 8;
const PROG_TYPE_CGROUP_SOCK_ADDR = 18;
const ATTACH = { connect4: 10, connect6: 11, sendmsg4: 14, sendmsg6: 15 } as const;
const BPF_F_ALLOW_MULTI = 2;
const GET_NETNS_COOKIE = 122;

/** Offsets in struct bpf_sock_addr. */
const USER_IP4 = 4;
const USER_IP6 = 8;
const USER_PORT = 24;

type Instruction = Buffer;

function instruction(code: number, dst: number, src: number, offset: number, immediate: number): Instruction {
  const buffer = Buffer.alloc(8);
  buffer.writeUInt8(code, 0);
  buffer.writeUInt8((src << 4) | dst, 1);
  buffer.writeInt16LE(offset, 2);
  buffer.writeInt32LE(immediate | 0, 4);
  return buffer;
}

const load = (dst: number, offset: number): Instruction => instruction(0x61, dst, 6, offset, 0);
const move = (dst: number, value: number): Instruction => instruction(0xb7, dst, 0, 0, value);
const and = (dst: number, value: number): Instruction => instruction(0x57, dst, 0, 0, value);
const EXIT = instruction(0x95, 0, 0, 0, 0);
const ALLOW = [move(0, 1), EXIT];
const REFUSE = [move(0, 0), EXIT];

/** `then` runs where register 2, as an unsigned 32-bit number, is `value`. */
function when(value: number, then: readonly Instruction[]): Instruction[] {
  // JNE32: the low half alone is compared, so an address with its top bit set is no negative number.
  return [instruction(0x56, 2, 0, then.length, value), ...then];
}

/** An address as the kernel keeps it: network order read as a little-endian number. */
const asLoaded = (address: string): number => Buffer.from(address.split('.').map(Number)).readUInt32LE(0);
const PORT_53 = Buffer.from([0, 53]).readUInt16LE(0);

/** Allows register 2 == address with port 53 in register 3. */
function admit(resolvers: readonly string[]): Instruction[] {
  return resolvers.flatMap((address) => {
    const port = [instruction(0x56, 3, 0, ALLOW.length, PORT_53), ...ALLOW];
    return when(asLoaded(address), port);
  });
}

/** Register 2 holds an IPv4 address: 127.0.0.0/8 and 0.0.0.0/8 mean this machine. */
function judge4(resolvers: readonly string[]): Instruction[] {
  return [...admit(resolvers), and(2, 0xff), ...when(127, REFUSE), ...when(0, REFUSE), ...ALLOW];
}

/** IPv6: ::1, ::, and the IPv4-mapped forms of what IPv4 is refused. */
function judge6(resolvers: readonly string[]): Instruction[] {
  const mapped = judge4(resolvers);
  const low = [load(2, USER_IP6 + 12), load(3, USER_PORT)];
  const third = [
    load(2, USER_IP6 + 8),
    ...when(asLoaded('0.0.255.255'), [...low, ...mapped]),
    ...when(0, [load(2, USER_IP6 + 12), ...when(0, REFUSE), ...when(asLoaded('0.0.0.1'), REFUSE), ...ALLOW]),
    ...ALLOW,
  ];
  return [load(2, USER_IP6), ...when(0, [load(2, USER_IP6 + 4), ...when(0, third)]), ...ALLOW];
}

function programFor(body: readonly Instruction[], home: bigint): Buffer {
  const low = Number(home & 0xffff_ffffn);
  const high = Number(home >> 32n);
  return Buffer.concat([
    instruction(0xbf, 6, 1, 0, 0),
    instruction(0x85, 0, 0, 0, GET_NETNS_COOKIE),
    // r3 = the home namespace's cookie, a 64-bit immediate in two instructions.
    instruction(0x18, 3, 0, 0, low),
    instruction(0, 0, 0, 0, high),
    // Another namespace than the machine's: allowed.
    instruction(0x1d, 0, 3, ALLOW.length, 0),
    ...ALLOW,
    ...body,
  ]);
}

/** Puts the fence on a cgroup of the v2 tree; `resolvers` are loopback addresses whose port 53 is admitted. Throws `SyscallError`. */
export function fence(cgroup: string, resolvers: readonly string[]): void {
  const home = homeCookie();
  const four = [load(2, USER_IP4), load(3, USER_PORT), ...judge4(resolvers)];
  const six = judge6(resolvers);
  const directory = openSync(cgroup, 'r');
  try {
    for (const [type, body] of [[ATTACH.connect4, four], [ATTACH.connect6, six], [ATTACH.sendmsg4, four], [ATTACH.sendmsg6, six]] as const)
      attach(directory, programFor(body, home), type);
  } finally {
    closeSync(directory);
  }
}

function attach(cgroup: number, code: Buffer, type: number): void {
  const license = Buffer.from('GPL\0');
  const attributes = Buffer.alloc(144);
  attributes.writeUInt32LE(PROG_TYPE_CGROUP_SOCK_ADDR, 0);
  attributes.writeUInt32LE(code.length / 8, 4);
  attributes.writeBigUInt64LE(addressOf(code), 8);
  attributes.writeBigUInt64LE(addressOf(license), 16);
  // expected_attach_type
  attributes.writeUInt32LE(type, 68);
  const program = call('syscallPointers', 'bpf(PROG_LOAD)', SYS_BPF, BPF_PROG_LOAD, attributes, attributes.length, null, 0, 0);
  try {
    const target = Buffer.alloc(144);
    target.writeUInt32LE(cgroup, 0);
    target.writeUInt32LE(program, 4);
    target.writeUInt32LE(type, 8);
    target.writeUInt32LE(BPF_F_ALLOW_MULTI, 12);
    call('syscallPointers', 'bpf(PROG_ATTACH)', SYS_BPF, BPF_PROG_ATTACH, target, target.length, null, 0, 0);
  } finally {
    closeFd(program);
  }
}

const AF_INET = 2;
const SOCK_DGRAM = 2;

/** The cookie of the namespace that this process runs in: the machine's. */
function homeCookie(): bigint {
  const socket = tryCall('socket', AF_INET, SOCK_DGRAM, 0);
  try {
    return netnsCookie(socket);
  } finally {
    closeFd(socket);
  }
}
