import { escapeText } from '../contract/names.ts';
import type { Override } from './caller.ts';
import { OVERRIDE_VARIABLE } from './markers.ts';

interface Carrier {
  pid: number;
  environment: readonly (readonly [name: string, value: string])[];
}

/** Where an agent was found in a line of processes; 0 is the caller. A process with an agent's variable was started by it. */
export interface AgentSighting {
  at: number;
  kind: 'environment' | 'program';
}

/**
 * The override where it was set: at the outermost process that carries it, with the value
 * that it has there. A value that was widened further down is not the one that counts.
 */
export function overrideIn(chain: readonly Carrier[], agents: readonly AgentSighting[]): Override | null {
  const at = chain.findLastIndex((seen) => valueIn(seen) !== undefined);
  const seen = chain[at];
  if (seen === undefined) return null;
  const above = agents.filter((agent) => (agent.kind === 'program' ? agent.at > at : agent.at >= at));
  const agent = above.find((each) => each.kind === 'program') ?? above[0];
  return {
    value: escapeText((valueIn(seen) ?? '').slice(0, 80)),
    pid: seen.pid,
    agentPid: agent === undefined ? null : (chain[agent.at]?.pid ?? null),
  };
}

const valueIn = (seen: Carrier): string | undefined =>
  seen.environment.find(([name]) => name === OVERRIDE_VARIABLE)?.[1];

/**
 * Why the override opens nothing. An environment variable proves nobody: an agent sets it for
 * what it starts, and any process of a user can write it into its parent's memory.
 */
export function overrideRefusal(override: Override): { message: string; why: string } {
  const audited = 'it counts for nothing; this attempt is in the audit log';
  return override.agentPid === null
    ? {
        message: `An environment variable cannot open production: ${OVERRIDE_VARIABLE} is set in process ${override.pid}, and ${audited}`,
        why: 'Any process of a user can set it, or write it into its parent: it proves nobody.',
      }
    : {
        message: 'An agent cannot allow itself production',
        why: `${OVERRIDE_VARIABLE} was set below the agent (process ${override.pid}), so ${audited}.`,
      };
}
