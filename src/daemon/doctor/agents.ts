import { readdirSync } from 'node:fs';
import { agentTitle, isWantedVariable, type AgentName } from '../../core/markers.ts';
import { recognise } from '../../core/recognise.ts';
import { linkOf, numbers, readKernel, uidsOf, type Numbers } from '../../host/proc.ts';
import { createProcesses, type Processes } from '../../host/processes.ts';

/** Processes of one user that are looked at, the newest; each costs some 50 µs. */
const MOST = 500;
/** The name of such a program says nothing; that of its script may. */
const INTERPRETERS = /\/(?:node|bun|deno|python[\d.]*|ruby|perl)$/;

/** The agents that run as a user now, each once, by what their programs look like from outside. */
export async function agentsOf(uid: number): Promise<{ title: string; pid: number }[]> {
  const processes = createProcesses({ keep: isWantedVariable });
  const found = new Map<AgentName, number>();
  for (const pid of ofUser(uid)) {
    const seen = numbers(pid);
    const agent = seen === undefined ? null : await agentIn(processes, seen);
    if (agent !== null && !found.has(agent)) found.set(agent, pid);
  }
  return [...found].map(([agent, pid]) => ({ title: agentTitle(agent), pid }));
}

/** What started it is a process of its own in the list, so its ancestors and variables are not asked. */
async function agentIn(processes: Processes, seen: Numbers): Promise<AgentName | null> {
  const exe = linkOf(seen.pid);
  const outside = { pid: seen.pid, ppid: seen.ppid, comm: seen.comm, exe, argv: [], environment: [], readable: true };
  const { agent } = recognise([outside]);
  if (agent !== null || !INTERPRETERS.test(exe ?? '')) return agent;
  const pidfd = processes.hold(seen);
  if (pidfd === undefined) return null;
  const lineage = await processes.observe(pidfd, seen.pid).finally(() => processes.release(pidfd));
  return lineage === undefined || lineage.nested ? null : recognise([{ ...lineage.self, environment: [] }]).agent;
}

function ofUser(uid: number): number[] {
  const pids = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
  return pids
    .filter((pid) => uidsOf(readKernel(pid, 'status') ?? '')[0] === uid)
    .sort((a, b) => a - b)
    .slice(-MOST);
}
