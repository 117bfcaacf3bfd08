import assert from 'node:assert/strict';
import { open, readFile, type FileHandle } from 'node:fs/promises';
import { FORKS, capGroup } from '../../src/host/btrfs/groups.ts';
import { limit, readQuotas } from '../../src/host/btrfs/quota.ts';
import { run, type Ran } from '../builders/machine.ts';
import { makeStage, type Stage } from './stage.ts';

export const MIB = 1 << 20;
const fill = await readFile(new URL('probes/fill.py', import.meta.url), 'utf8');

/** A stage whose forks fill its pool. */
export interface Filling extends Stage {
  must(...words: string[]): Promise<void>;
  /** Writes in a fork by one of the ways of `probes/fill.py`, up to so many bytes or so many milliseconds. */
  fills(ref: string, way: string, bytes: number, deadline?: number): Promise<Ran>;
  /** The bytes that are charged to a fork, nested and all, once they are on the disk. */
  charged(ref: string): Promise<number>;
  /** Takes its cap away, and the ceiling of all forks. */
  uncap(ref: string): Promise<void>;
}

/** A pool of 512 MiB. `watched`: the daemon keeps an eye on its floor. */
export async function makeFilling(watched: boolean): Promise<Filling> {
  const stage = await makeStage({ size: '512M', ...(watched ? {} : { env: { BULKHEAD_REAPER_EVERY: '3600000' } }) });
  const pool: FileHandle = await open(stage.machine.paths.pool, 'r');
  const env = { ...process.env, BULKHEAD_INSTANCE: stage.machine.instance, CLAUDECODE: '1' };

  async function groupOf(ref: string): Promise<{ group: bigint; bytes: number }> {
    await run('sync', ['--file-system', stage.machine.paths.pool]);
    const told = await run('btrfs', ['inspect-internal', 'rootid', await stage.volume(ref)]);
    const quotas = await readQuotas(pool.fd);
    const group = capGroup(quotas, BigInt(told.stdout.trim())) ?? assert.fail('no cap');
    return { group, bytes: quotas.charged.get(group) ?? 0 };
  }
  return {
    ...stage,
    async must(...words) {
      const done = await stage.agent(...words);
      assert.equal(done.code, 0, `${words.join(' ')}: ${done.stdout}${done.stderr}`);
    },
    fills: (ref, way, bytes, deadline = 30_000) =>
      stage.machine.cliWith({ env, deadline }, 'exec', ref, '--', 'python3', '-c', fill, way, String(bytes)),
    charged: async (ref) => (await groupOf(ref)).bytes,
    async uncap(ref) {
      await limit(pool.fd, (await groupOf(ref)).group, null);
      await limit(pool.fd, FORKS, null);
    },
    async remove() {
      await pool.close();
      await stage.remove();
    },
  };
}
