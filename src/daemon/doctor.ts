import type { Finding } from '../contract/machine.ts';
import type { Caller } from '../core/caller.ts';
import { mergeFine, orFine, warn } from '../core/checks.ts';
import { checkNetwork } from '../host/network/check.ts';
import { checkCgroups, checkKernel, checkTools } from './doctor/machine.ts';
import { checkPool } from './doctor/pool.ts';
import { checkKernelReach, checkReach, subjectOf } from './doctor/reach.ts';
import { checkUpkeep } from './doctor/upkeep.ts';
import type { Parts } from './parts.ts';

/** Milliseconds for one group of checks: a doctor that hangs says nothing. */
const DEADLINE = 8000;

/**
 * Looks at this machine, and at what an agent on it could reach around the walls.
 * Reads only, opens nothing by path where a user could have planted a link, and each
 * group of checks ends by its deadline. Who has not signed in learns of its own uid alone.
 */
export async function doctor(parts: Parts, caller: Caller): Promise<Finding[]> {
  const groups = await Promise.all([
    inTime('kernel', checkKernel),
    inTime('pool', () => checkPool(parts)),
    inTime('cgroups', checkCgroups),
    inTime('tools', checkTools),
    inTime('network', checkNetworks),
    inTime('upkeep', () => checkUpkeep(parts)),
    inTime('reach', checkKernelReach),
    inTime('reach', () => reachOf(parts, caller)),
  ]);
  const [kernel, pool, cgroups, tools, network, upkeep, ...reach] = groups;
  return mergeFine([[...kernel, ...pool, ...cgroups], tools, network, upkeep, reach.flat()]);
}

/** What is well in it is one thing for a person: forks end nowhere, and production has its way out. */
async function checkNetworks(): Promise<Finding[]> {
  const found = (await checkNetwork()).filter((finding) => finding.level !== 'ok');
  const sudo = (remedy: string | null): string | null => remedy?.replace(/^(?=modprobe|apt-get)/, 'sudo ') ?? null;
  const made = found.map((finding) => ({ ...finding, remedy: sudo(finding.remedy) }));
  return orFine(made, 'network', 'forks end in a namespace without a way on, production has its fence');
}

/** The user whose processes ask; behind sudo, who ran it. */
async function reachOf(parts: Parts, caller: Caller): Promise<Finding[]> {
  if (caller.kind === 'cell' || caller.kind === 'service') return [];
  const behind = caller.uid === 0 ? parts.userBehind(caller) : String(caller.uid);
  const subject = (await subjectOf(behind)) ?? {
    user: `uid ${caller.uid}`,
    uid: caller.uid,
    gid: caller.uid,
    home: '',
  };
  const app = parts.store.volumes.list().find((record) => record.kind === 'app')?.app ?? 'shop';
  return checkReach(subject, { pid: subject.uid === caller.uid ? caller.pid : null, app });
}

async function inTime(check: string, look: () => Promise<Finding[]>): Promise<Finding[]> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Finding[]>((resolve) => {
    timer = setTimeout(
      () =>
        resolve([
          warn(check, `the check of ${check} did not end within ${DEADLINE / 1000} s`, null, 'bulkhead doctor'),
        ]),
      DEADLINE,
    );
  });
  try {
    return await Promise.race([look(), late]);
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    return [warn(check, `the check of ${check} could not be made: ${said}`, null, 'bulkhead doctor')];
  } finally {
    clearTimeout(timer);
  }
}
