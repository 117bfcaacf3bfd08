import { mkdir, rm, statfs, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { AppError } from '../../contract/errors.ts';
import { exec, program, type ExecResult } from '../exec.ts';
import { GATEWAY_BATCH, GATEWAY_SYSCTLS, REFUSE_ALL, addressOfSlot, cellBatch, linkBatch, linkName } from './gateway-rules.ts';

/**
 * The gateway's network namespace: where every fork's network ends. It has no
 * route to the machine, to production or to other forks; what a fork sends is
 * local there, and nothing listens.
 */
export interface Gateway {
  /** Makes the namespace where it is missing; where it is there, puts its rules back. */
  prepare(): Promise<void>;
  /** Lays a cell's link: `pid` lives in the cell's namespace. A link of the slot that is there is replaced. */
  link(slot: number, pid: number): Promise<void>;
  /** Takes the link away, both ends. None there is a success. */
  unlink(slot: number): Promise<void>;
  teardown(): Promise<void>;
  /** The namespace's file, for `nsenter --net`. */
  readonly namespace: string;
}

/** Magic of nsfs (linux/magic.h): a file of that type is a pinned namespace. */
const NSFS_MAGIC = 0x6e736673;
/** Milliseconds. */
const DEADLINE = 10_000;

/**
 * Runs in the new namespace, which lives as long as this script unless the last
 * line is reached: so the file is either no namespace, or a whole one. The mount
 * spreads as its parent's do: where namespaces of other services get a copy, they
 * also see it go, and none keeps it alive. Settings come as arguments `path=value`.
 */
const MAKE = `
set -eu
file=$1 batch=$2 rules=$3; shift 3
for setting; do
  target=/proc/sys/net/\${setting%%=*}
  case $target in */ipv6/*) [ -e "$target" ] || continue ;; esac
  echo "\${setting#*=}" > "$target"
done
printf %s "$batch" | ip -batch -
printf %s "$rules" | nft -f -
mount --bind /proc/self/ns/net "$file"
`;

export function createGateway(deps: { run: string }): Gateway {
  const namespace = path.join(deps.run, 'gateway.netns');

  const inside = (command: readonly string[], input: string, accept: readonly number[] = [0]): Promise<ExecResult> =>
    exec('nsenter', [`--net=${namespace}`, ...command], { input, accept, deadline: DEADLINE });

  async function addLink(slot: number, pid: number): Promise<ExecResult> {
    return inside(['ip', '-batch', '-'], linkBatch(slot, pid), [0, 1]);
  }

  return {
    namespace,
    async prepare() {
      if (await pinned(namespace)) {
        await inside(['nft', '-f', '-'], REFUSE_ALL);
        return;
      }
      await Promise.all(['ip', 'nft', 'unshare', 'nsenter'].map(program));
      await mkdir(deps.run, { recursive: true });
      await writeFile(namespace, '', { mode: 0o600 });
      const script = ['sh', '-c', MAKE, 'sh', namespace, GATEWAY_BATCH, REFUSE_ALL, ...GATEWAY_SYSCTLS];
      await exec('unshare', ['--net', ...script], { deadline: DEADLINE });
    },
    async link(slot, pid) {
      let added = await addLink(slot, pid);
      // What a killed start left, or a cell that ended a moment ago: the kernel takes namespaces away later.
      if (/File exists/.test(added.stderr)) {
        await this.unlink(slot);
        added = await addLink(slot, pid);
      }
      if (added.code !== 0)
        throw new AppError('failed', `Cannot lay the link of a cell's network (address ${addressOfSlot(slot)})`, {
          why: added.stderr.trim().slice(0, 300),
          next: ['bulkhead doctor'],
        });
      await exec('nsenter', [`--net=/proc/${pid}/ns/net`, 'ip', '-batch', '-'], {
        input: cellBatch(slot),
        deadline: DEADLINE,
      });
    },
    async unlink(slot) {
      if (!(await pinned(namespace))) return;
      const gone = await inside(['ip', 'link', 'del', linkName(slot)], '', [0, 1]);
      if (gone.code !== 0 && !/Cannot find device/.test(gone.stderr))
        throw new AppError('failed', `Cannot take the link ${linkName(slot)} away`, { why: gone.stderr.trim().slice(0, 300) });
    },
    async teardown() {
      // More than once: two daemons that started at the same time may have pinned one over the other.
      while (await pinned(namespace)) await exec('umount', [namespace], { deadline: DEADLINE });
      await rm(namespace, { force: true });
    },
  };
}

async function pinned(file: string): Promise<boolean> {
  const found = await statfs(file).catch(() => undefined);
  return found?.type === NSFS_MAGIC;
}
