import { constants } from 'node:os';
import { AppError } from '../../contract/errors.ts';
import { SyscallError, addressOf, call, closeFd } from '../syscalls.ts';

/**
 * As much of BPF as the fence needs: a few instructions with labels, and bpf(2)
 * to load a program and to attach it to a cgroup. Little-endian machines only,
 * which are all that Node is released for here.
 */
export type Line =
  | { label: string }
  /** One instruction; `to` names the label that it jumps to. */
  | { op: number; dst?: number; src?: number; off?: number; imm?: number; to?: string }
  /** A 64-bit constant: two slots. */
  | { load64: bigint; dst: number };

/** Opcodes (linux/bpf.h, linux/bpf_common.h), as far as they are used. */
export const OP = {
  /** dst = src */
  move: 0xbf,
  /** dst = imm */
  set: 0xb7,
  /** dst = *(u32 *)(src + off) */
  load32: 0x61,
  /** dst &= imm */
  and: 0x57,
  /** r0 = helper number imm */
  helper: 0x85,
  /** The 32-bit jumps do not extend the sign of imm: an address over 127.255.255.255 compares as it is (Linux 5.1). */
  ifEqual32: 0x16,
  ifNotEqual32: 0x56,
  ifNotSame64: 0x5d,
  jump: 0x05,
  exit: 0x95,
} as const;

const LOAD_64 = 0x18;
const SLOT = 8;

/** The machine code of a program. A label that is nowhere is a programmer's error and is thrown. */
export function assemble(lines: readonly Line[]): Buffer {
  const labels = new Map<string, number>();
  let slots = 0;
  for (const line of lines) {
    if ('label' in line) labels.set(line.label, slots);
    else slots += 'load64' in line ? 2 : 1;
  }
  const code = Buffer.alloc(slots * SLOT);
  let slot = 0;
  for (const line of lines) {
    if ('label' in line) continue;
    if ('load64' in line) {
      instruction(code, slot, { op: LOAD_64, dst: line.dst, imm: Number(line.load64 & 0xffff_ffffn) });
      instruction(code, slot + 1, { op: 0, imm: Number(line.load64 >> 32n) });
      slot += 2;
      continue;
    }
    const target = line.to === undefined ? undefined : labels.get(line.to);
    if (line.to !== undefined && target === undefined) throw new Error(`no label "${line.to}"`);
    instruction(code, slot, target === undefined ? line : { ...line, off: target - slot - 1 });
    slot += 1;
  }
  return code;
}

/** struct bpf_insn: opcode, two registers of four bits, a signed jump, a constant. */
function instruction(
  code: Buffer,
  slot: number,
  { op, dst = 0, src = 0, off = 0, imm = 0 }: { op: number; dst?: number; src?: number; off?: number; imm?: number },
): void {
  const at = slot * SLOT;
  code.writeUInt8(op, at);
  code.writeUInt8((src << 4) | dst, at + 1);
  code.writeInt16LE(off, at + 2);
  code.writeUInt32LE(imm >>> 0, at + 4);
}

/** enum bpf_attach_type, for the hooks on a socket's addresses. */
export const HOOK = { connect4: 10, connect6: 11, sendmsg4: 14, sendmsg6: 15 } as const;
export type Hook = keyof typeof HOOK;

const BPF_PROG_LOAD = 5;
const BPF_PROG_ATTACH = 8;
const BPF_PROG_TYPE_CGROUP_SOCK_ADDR = 18;
/** bpf(2) by its number, which differs between machines. */
const SYS_BPF: Partial<Record<NodeJS.Architecture, number>> = { x64: 321, arm64: 280 };
const LOG_SIZE = 65_536;

/** Loads a program for a hook, and gives its descriptor. Throws `unsupported` with the verifier's last words. */
export function loadProgram(hook: Hook, code: Buffer): number {
  const license = Buffer.from('GPL\0');
  const log = Buffer.alloc(LOG_SIZE);
  // union bpf_attr, the part for BPF_PROG_LOAD, up to expected_attach_type.
  const attr = Buffer.alloc(72);
  attr.writeUInt32LE(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, 0);
  attr.writeUInt32LE(code.length / SLOT, 4);
  attr.writeBigUInt64LE(addressOf(code), 8);
  attr.writeBigUInt64LE(addressOf(license), 16);
  attr.writeUInt32LE(1, 24);
  attr.writeUInt32LE(LOG_SIZE, 28);
  attr.writeBigUInt64LE(addressOf(log), 32);
  attr.writeUInt32LE(HOOK[hook], 68);
  const said = (): string => log.toString('latin1').split('\0', 1)[0]?.trim().split('\n').slice(-2).join(' ') ?? '';
  return bpf(BPF_PROG_LOAD, attr, said);
}

/** Attaches a program to the cgroup that `group` is open on, in the place of one that is there: never a moment without. */
export function attachProgram(group: number, hook: Hook, program: number): void {
  const attr = Buffer.alloc(16);
  attr.writeUInt32LE(group, 0);
  attr.writeUInt32LE(program, 4);
  attr.writeUInt32LE(HOOK[hook], 8);
  bpf(BPF_PROG_ATTACH, attr, () => '');
}

export { closeFd as closeProgram };

const TRIES = 20;

/** The verifier gives up with EAGAIN when a signal waits for the thread (bpf_check, kernel/bpf/verifier.c): it is asked again. */
export function undisturbed(ask: () => number): number {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return ask();
    } catch (error) {
      const disturbed = error instanceof SyscallError && error.errno === constants.errno.EAGAIN;
      if (!disturbed || attempt >= TRIES) throw error;
    }
  }
}

function bpf(command: number, attr: Buffer, said: () => string): number {
  const number = SYS_BPF[process.arch];
  if (number === undefined)
    throw new AppError('unsupported', `Cannot use BPF on a machine of the kind "${process.arch}"`);
  try {
    return undisturbed(() => call('syscallPointers', 'bpf', number, command, attr, attr.length, null, 0, 0));
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
    throw new AppError(
      'unsupported',
      "Cannot keep a way out from the machine's loopback: the kernel refuses the BPF program",
      {
        why: [error.message, said()].filter(Boolean).join(': '),
        next: ['bulkhead doctor'],
        cause: error,
      },
    );
  }
}
