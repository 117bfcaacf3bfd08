import { lstat, readFile } from 'node:fs/promises';
import { release } from 'node:os';
import { AppError } from '../../contract/errors.ts';
import type { Finding } from '../../contract/machine.ts';
import { judgeCgroups, judgeKernel, judgeTools, type ToolFact } from '../../core/checks.ts';
import { requireKernel } from '../../host/btrfs/kernel.ts';
import { exec } from '../../host/exec.ts';
import { kernelFeatures } from '../../host/features.ts';

export async function checkKernel(): Promise<Finding[]> {
  return judgeKernel({ release: release(), tooOld: tooOld(), ...(await kernelFeatures()) });
}

function tooOld(): string | null {
  try {
    requireKernel(release());
    return null;
  } catch (error) {
    return error instanceof AppError ? error.next.map((command) => `sudo ${command}`).join(' && ') : String(error);
  }
}

/** Program, Debian's package, how it is asked for its version. */
const TOOLS = [
  ['btrfs', 'btrfs-progs', '--version'],
  ['mkfs.btrfs', 'btrfs-progs', '--version'],
  ['runc', 'runc', '--version'],
  ['conmon', 'conmon', '--version'],
  ['catatonit', 'catatonit', '--version'],
  ['pasta', 'passt', '--version'],
  ['nft', 'nftables', '--version'],
  ['ip', 'iproute2', '-V'],
  ['setfacl', 'acl', '--version'],
] as const;

export async function checkTools(): Promise<Finding[]> {
  const facts = await Promise.all(
    TOOLS.map(async ([name, apt, ask]): Promise<ToolFact> => ({
      name,
      package: apt,
      version: await versionOf(name, ask),
    })),
  );
  return judgeTools(facts);
}

async function versionOf(name: string, ask: string): Promise<string | null> {
  try {
    const { stdout, stderr } = await exec(name, [ask], { deadline: 3000, limit: 64 << 10, accept: [0, 1] });
    // The first line alone: the licence that follows has a version as well.
    const line = `${stdout}\n${stderr}`.trim().split('\n')[0] ?? '';
    return /\d+(?:\.\d+)+/.exec(line)?.[0] ?? '';
  } catch (error) {
    return error instanceof AppError && error.code === 'missing-tool' ? null : '';
  }
}

/** Every hierarchy of version 1 says its controllers in its mount; version 2 has one tree at the root. */
export async function checkCgroups(): Promise<Finding[]> {
  const table = await readFile('/proc/self/mountinfo', 'utf8');
  const types = table.split('\n').map((line) => line.split(' - ')[1]?.split(' ')[0]);
  const version = types.includes('cgroup') ? 1 : types.includes('cgroup2') ? 2 : null;
  const controllers = await readFile('/sys/fs/cgroup/cgroup.subtree_control', 'utf8').catch(() => '');
  return judgeCgroups({ version, controllers: controllers.trim().split(' '), systemd: await hasSystemd() });
}

/** As sd_booted(3) tells it. */
export const hasSystemd = (): Promise<boolean> =>
  lstat('/run/systemd/system').then(
    (seen) => seen.isDirectory(),
    () => false,
  );
