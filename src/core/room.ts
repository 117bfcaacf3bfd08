import type { AppFile } from '../contract/app-file.ts';
import { formatBytes } from '../contract/units.ts';

/** What cells may use of a machine, in bytes and processors. Production comes first (principle 6). */
export interface MachineSize {
  memory: number;
  cpus: number;
}

const GIB = 2 ** 30;
export const FORK_DISK = 20 * GIB;

/** What all forks together may use: half the memory, all processors but a share of one. */
export function forksCeiling(machine: MachineSize): { memory: number; cpus: number } {
  return { memory: Math.floor(machine.memory / 2), cpus: Math.max(0.5, machine.cpus - 0.25) };
}

/** The limits that a cell gets: the accepted file's, else what fits the machine. */
export function limitsOf(
  role: 'production' | 'fork',
  file: AppFile,
  machine: MachineSize,
): { memory: number; cpus: number; pids: number } {
  const asked = role === 'fork' ? file.fork.limits : file.limits;
  const usual =
    role === 'fork'
      ? { memory: Math.min(2 * GIB, forksCeiling(machine).memory), cpus: Math.min(1, machine.cpus), pids: 2048 }
      : { memory: Math.floor(machine.memory * 0.8), cpus: machine.cpus, pids: 8192 };
  return {
    memory: Math.min(asked.memory ?? usual.memory, machine.memory),
    cpus: Math.min(asked.cpus ?? usual.cpus, machine.cpus),
    pids: asked.pids ?? usual.pids,
  };
}

/**
 * Why a fork cannot start now, with the figures, or undefined when it fits: the
 * memory that running forks may use, and this one's, must stay under the ceiling.
 */
export function whyNotFit(
  wanted: number,
  running: readonly number[],
  machine: MachineSize,
): { message: string; why: string } | undefined {
  const ceiling = forksCeiling(machine).memory;
  const taken = running.reduce((sum, memory) => sum + memory, 0);
  if (taken + wanted <= ceiling) return undefined;
  return {
    message: `there is no room to start another fork: it may use ${formatBytes(wanted)}, and ${formatBytes(Math.max(0, ceiling - taken))} is left for forks`,
    why: `${running.length} running forks may use ${formatBytes(taken)}, all forks together ${formatBytes(ceiling)}; the rest is production's.`,
  };
}
