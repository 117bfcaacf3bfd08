// Takes the demo's instance down when the demo ends, however it ends: its input closes then.

import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { removeInstance } from '../../scripts/remove-instance.ts';

const NAME = /^demo-(\d+)$/;

/** Where an instance of the demo has what its person and agent see; root alone can write there. */
export const stageOf = (instance: string): string => `/run/bulkhead-${instance}-stage`;

/** Instances of demos that were killed together with their sweeper: their process is no demo any more. */
export function staleInstances(): string[] {
  const names = [...readdirSync('/var/lib'), ...readdirSync('/run')]
    .map((name) => /^bulkhead-(demo-\d+)(?:-stage)?$/.exec(name)?.[1])
    .filter((name) => name !== undefined);
  return [...new Set(names)].filter((name) => !isDemo(Number(NAME.exec(name)?.[1])));
}

function isDemo(pid: number): boolean {
  return read(`/proc/${pid}/cmdline`).includes('drills/demo.ts');
}

/** Ends the processes of an instance, its daemon first, and removes all that it made. Nothing left is a success. */
export async function sweep(instance: string): Promise<void> {
  if (!NAME.test(instance)) throw new Error(`"${instance}" is no instance of the demo`);
  await endProcesses(instance, 'SIGTERM', 5000);
  await endProcesses(instance, 'SIGKILL', 5000);
  await removeInstance(instance);
  const stage = stageOf(instance);
  while (read('/proc/self/mountinfo').includes(` ${stage}/checkout `)) {
    const ran = spawnSync('umount', [`${stage}/checkout`], { cwd: '/', encoding: 'utf8' });
    if (ran.status !== 0) throw new Error(ran.stderr);
  }
  rmSync(stage, { recursive: true, force: true });
}

/** All that carry the instance in their environment: the daemon, the person's shell, the agent. Cells do not. */
async function endProcesses(instance: string, signal: NodeJS.Signals, deadline: number): Promise<void> {
  for (const end = performance.now() + deadline; performance.now() < end; await wait(50)) {
    const pids = processesOf(instance);
    if (pids.length === 0) return;
    for (const pid of pids) {
      try {
        process.kill(pid, signal);
      } catch {
        // It has ended meanwhile.
      }
    }
  }
}

function processesOf(instance: string): number[] {
  const mark = `BULKHEAD_INSTANCE=${instance}`;
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => read(`/proc/${pid}/environ`).split('\0').includes(mark))
    .map(Number);
}

// What went away while it was looked at is not there.
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

if (import.meta.main) {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});
  const closed = new Promise((resolve) => process.stdin.on('close', resolve));
  process.stdin.resume();
  await closed;
  await sweep(process.argv[2] ?? '');
}
