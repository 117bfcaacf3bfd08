import { destroyById } from './ioctl.ts';
import {
  assign,
  createGroup,
  groupId,
  levelOf,
  limit,
  readQuotas,
  release,
  removeGroup,
  type Quotas,
} from './quota.ts';
import { subvolumes } from './search.ts';

/**
 * Caps of forks. A limit on a subvolume's own group does not hold: a subvolume made inside it
 * has another one (uid 1000 wrote 300 MiB under a cap of 100). So each fork has a group
 * of level 1, which everything made inside joins by itself, and all of those are in one of level 2.
 */

/** Covers all forks, removed ones included. */
export const FORKS = groupId(2, 1n);

export interface Groups {
  /** A new group of level 1 with its limit, for a subvolume that is about to be made. */
  prepare(root: number, bytes: number): Promise<bigint>;
  /** That subvolume is there, or never will be. */
  settled(root: number, group: bigint, made: boolean): Promise<void>;
  /** Puts a limit on a subvolume that exists, in a group of its own. */
  limitTo(root: number, subvolume: bigint, bytes: number): Promise<void>;
  /** Removes the groups of what is gone. Those whose extents are in use yet, or being cleaned, stay until the next time. */
  sweep(root: number): Promise<void>;
}

/** `random` draws a whole number from 1 up to, not including, its argument. */
export function createGroups(random: (below: number) => number): Groups {
  // Without members yet, but not left over.
  const preparing = new Set<bigint>();

  const settled = async (root: number, group: bigint, made: boolean): Promise<void> => {
    preparing.delete(group);
    if (!made) await removeGroup(root, group);
  };
  const prepare = async (root: number, bytes: number): Promise<bigint> => {
    for (;;) {
      const group = groupId(1, BigInt(random(2 ** 47)));
      if (preparing.has(group)) continue;
      preparing.add(group);
      if (!(await createGroup(root, group))) {
        preparing.delete(group);
        continue;
      }
      try {
        await limit(root, group, bytes);
        await assign(root, group, FORKS);
        return group;
      } catch (error) {
        await settled(root, group, false);
        throw error;
      }
    }
  };
  return {
    prepare,
    settled,
    limitTo: async (root, subvolume, bytes) => {
      const existing = capGroup(await readQuotas(root), subvolume);
      if (existing !== undefined) return limit(root, existing, bytes);
      const group = await prepare(root, bytes);
      await assign(root, subvolume, group).finally(() => settled(root, group, true));
    },
    sweep: (root) => sweep(root, preparing),
  };
}

async function sweep(root: number, preparing: ReadonlySet<bigint>): Promise<void> {
  const quotas = await readQuotas(root);
  const living = new Set((await subvolumes(root)).map(({ id }) => id));
  for (const [group, bytes] of quotas.charged) {
    const own = levelOf(group) === 0 && group >= 256n && bytes === 0 && !living.has(group);
    const empty = levelOf(group) === 1 && !quotas.inhabited.has(group) && !preparing.has(group);
    if (own || empty) await removeGroup(root, group);
  }
}

/** The group that carries a subvolume's cap. */
export function capGroup(quotas: Quotas, subvolume: bigint): bigint | undefined {
  return quotas.parents.get(subvolume)?.find((group) => levelOf(group) === 1);
}

/**
 * Deletes a subvolume's nested ones, by number and from the inside. A cell cannot make any, but none
 * may keep a fork from being removed. Their entries go out of the fork's own tree, which takes
 * room: at its cap that is EDQUOT, so it leaves its limits first.
 */
export async function destroyNested(root: number, subvolume: bigint): Promise<void> {
  const nested = await subvolumes(root, subvolume);
  const group = nested.length === 0 ? undefined : capGroup(await readQuotas(root), subvolume);
  if (group !== undefined) {
    await limit(root, group, null);
    await release(root, group, FORKS);
  }
  for (const { id } of nested) {
    await destroyNested(root, id);
    await destroyById(root, id);
  }
}
