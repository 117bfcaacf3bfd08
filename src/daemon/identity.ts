import os from 'node:os';
import type { Operation } from '../contract/operation.ts';
import type { Id } from '../core/ids.ts';
import { isWantedVariable } from '../core/markers.ts';
import { FORK_QUOTA, decide, owns, type PolicyTarget } from '../core/policy.ts';
import { createProcesses } from '../host/processes.ts';
import { createUsers } from '../host/users.ts';
import type { FactorRecords } from '../store/factors.ts';
import type { VolumeRecord } from '../store/volumes.ts';
import type { Store } from '../store/store.ts';
import { refOf } from './cell-spec.ts';
import { createFactorGate, type FactorGate } from './factor-gate.ts';
import { createFactors, type FactorRecord } from './factors.ts';
import { createIdentify } from './identify.ts';
import type { Parts } from './parts.ts';
import { createSignIns, type SignIns } from './sign-ins.ts';
import type { Target } from './target.ts';

/** Everything about who asks, and what that one may. */
export interface Identity {
  identify: Parts['identify'];
  policy: Parts['policy'];
  factors: FactorGate;
  signIns: SignIns;
  userBehind: Parts['userBehind'];
}

export function createIdentity(deps: {
  store: Store;
  clock: () => number;
  program: { node: string; script: string };
  enrolledOne: () => Promise<void>;
  /** Forks in the making, with their owner's uid. */
  forking: ReadonlyMap<Id, number>;
}): Identity {
  const { store, clock } = deps;
  const processes = createProcesses({ keep: isWantedVariable });
  const signIns = createSignIns({ processes, clock, program: { exe: deps.program.node, script: deps.program.script } });
  const users = createUsers({ clock });
  const factors = createFactors({
    // The store keeps the record as it is given.
    store: store.factors as unknown as FactorRecords<FactorRecord>,
    clock,
    machine: os.hostname(),
  });
  const identify = createIdentify({ processes, signIns, users });
  const gate = createFactorGate({
    factors,
    signIns,
    uidOf: (name) => users.uidOf(name),
    enrolledOne: deps.enrolledOne,
  });
  return {
    identify,
    signIns,
    factors: gate,
    userBehind: (caller) => (caller.kind === 'unproven' || caller.kind === 'person' ? (caller.user ?? 'root') : 'root'),
    policy: (operation, name, caller, target, input) =>
      decide({
        name,
        operation,
        caller,
        target: policyTarget(target),
        enrolled: factors.enrolled(),
        quota: FORK_QUOTA,
        input,
        ...state(deps, operation, caller, target, input),
      }),
  };
}

const policyTarget = (target: Target): PolicyTarget => ({
  kind: target.kind,
  name: target.name,
  id: target.record?.id ?? null,
  owner: target.owner,
});

/** What the decision needs of the records: the caller's forks, and what a new fork is made from. */
function state(
  { store, forking }: { store: Store; forking: ReadonlyMap<Id, number> },
  operation: Operation,
  caller: Parameters<Parts['policy']>[2],
  target: Target,
  input: Record<string, unknown>,
) {
  const uid = caller.kind === 'unproven' || caller.kind === 'person' ? caller.uid : -1;
  const mine = (record: VolumeRecord): boolean => record.owner === String(uid) || record.owner.startsWith(`${uid}/`);
  const forks = store.volumes.list().filter((record) => record.kind === 'fork');
  const app = target.record?.app ?? target.name?.split(':')[0];
  const own = forks.filter((record) => owns(caller, record) && record.app === app).at(-1);
  const from =
    operation.command === 'fork' && typeof input['from'] === 'string' ? sourceOf(store, input['from']) : undefined;
  const made = new Set(forks.filter(mine).map(({ id }) => id));
  for (const [id, owner] of forking) if (owner === uid) made.add(id);
  return {
    forks: made.size,
    ...(own === undefined ? {} : { fork: refOf(own) }),
    ...(from === undefined ? {} : { source: from }),
  };
}

function sourceOf(store: Store, ref: string): PolicyTarget | undefined {
  const [app = '', tag] = ref.split(':');
  const record = store.volumes.byRef(app, tag ?? null);
  return record === undefined ? undefined : { kind: record.kind, name: ref, id: record.id, owner: record.owner };
}
