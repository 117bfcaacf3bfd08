import type { Id } from './ids.ts';

/** What every caller has: the kernel's word for who connected, and why the daemon takes it for what it takes it for. */
interface Connection {
  uid: number;
  /** The uid's name on this machine; for messages. */
  user: string | null;
  pid: number;
  /** Sentences for people, each one fact: `CLAUDECODE=1 in process 41873`. */
  evidence: readonly string[];
}

/** Who asks, as the daemon knows it. Identity comes from the channel; what is seen can only lower it. */
export type Caller =
  /** Came through a cell's own socket. */
  | (Connection & { kind: 'cell'; cell: Id })
  /** Has not proved to be a person. `agent`: the agent that it looks like. */
  | (Connection & {
      kind: 'unproven';
      agent: string | null;
      override: Override | null;
      /** Why nobody can sign in from where it runs, in a sentence; null: a person could. */
      obstacle?: string | null;
      /** Why the sign-in of its terminal does not cover it; null: there is none. */
      uncovered?: string | null;
    })
  /** Signed in at this terminal. */
  | (Connection & { kind: 'person'; person: string; terminal: string; until: number })
  /** One of our own: the reaper, recovery. */
  | { kind: 'service'; name: string; evidence: readonly string[] };

/** `BULKHEAD_ALLOW_PRODUCTION`, where it was seen. It opens nothing; the refusal explains it. */
export interface Override {
  value: string;
  pid: number;
  /** The agent's process that it was set below, where one was seen. */
  agentPid: number | null;
}

/** Under which name a caller owns forks: an agent that shows its name, its own within the uid. */
export function ownerOf(caller: Caller): string {
  switch (caller.kind) {
    case 'cell':
      return `cell:${caller.cell}`;
    case 'service':
      return `service:${caller.name}`;
    case 'person':
      return `${caller.uid}`;
    case 'unproven':
      return caller.agent === null ? `${caller.uid}` : `${caller.uid}/${caller.agent}`;
  }
}

/** How `ls` and the audit log call it. */
export function callerName(caller: Caller): string {
  switch (caller.kind) {
    case 'cell':
      return 'cell';
    case 'service':
      return caller.name;
    case 'person':
      return caller.person;
    case 'unproven':
      return caller.agent ?? caller.user ?? `uid ${caller.uid}`;
  }
}
