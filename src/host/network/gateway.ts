import { existsSync } from 'node:fs';
import { mkdir, rm, statfs, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { AppError } from '../../contract/errors.ts';
import { exec, program, type ExecResult } from '../exec.ts';
import {
  GATEWAY_BATCH,
  GATEWAY_SYSCTLS,
  REFUSE_ALL,
  addressOfSlot,
  cellBatch,
  linkBatch,
  linkName,
} from './gateway-rules.ts';

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

export function createGateway(deps: { run: string }): Gateway {
  const namespace = path.join(deps.run, 'gateway.netns');
  const making = path.join(deps.run, 'gateway.making');

  const within = (file: string, command: readonly string[], input: string, accept: readonly number[] = [0]) =>
    exec('nsenter', [`--net=${file}`, ...command], { input, accept, deadline: DEADLINE });
  const inside = (command: readonly string[], input: string, accept?: readonly number[]): Promise<ExecResult> =>
    within(namespace, command, input, accept);

  async function addLink(slot: number, pid: number): Promise<ExecResult> {
    return inside(['ip', '-batch', '-'], linkBatch(slot, pid), [0, 1]);
  }

  /**
   * Set up under another name, and pinned under its own when it is whole. The mounts spread
   * as their parent's do: where namespaces of other services get a copy, they also see it
   * go, and none keeps it alive.
   */
  async function make(): Promise<void> {
    await unpin(making);
    await writeFile(making, '', { mode: 0o600 });
    await exec('unshare', [`--net=${making}`, 'true'], { deadline: DEADLINE });
    for (const value of ['0', '1'] as const)
      await within(making, ['tee', ...GATEWAY_SYSCTLS[value].filter(existsSync)], value);
    await within(making, ['ip', '-batch', '-'], GATEWAY_BATCH);
    await within(making, ['nft', '-f', '-'], REFUSE_ALL);
    await writeFile(namespace, '', { mode: 0o600 });
    await exec('mount', ['--bind', making, namespace], { deadline: DEADLINE });
    await unpin(making);
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
      await make();
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
        throw new AppError('failed', `Cannot take the link ${linkName(slot)} away`, {
          why: gone.stderr.trim().slice(0, 300),
        });
    },
    async teardown() {
      await unpin(making);
      await unpin(namespace);
    },
  };
}

/** More than once: two daemons that started at the same time may have pinned one over the other. */
async function unpin(file: string): Promise<void> {
  while (await pinned(file)) await exec('umount', [file], { deadline: DEADLINE });
  await rm(file, { force: true });
}

async function pinned(file: string): Promise<boolean> {
  const found = await statfs(file).catch(() => undefined);
  return found?.type === NSFS_MAGIC;
}
