import type { Caller } from '../core/caller.ts';
import { FORK_QUOTA } from '../core/policy.ts';
import type { Parts } from './parts.ts';

/** What a caller may and may not do, as `whoami` says it. */
export function describeRights(parts: Parts, caller: Caller): { may: string[]; mayNot: string[] } {
  switch (caller.kind) {
    case 'person':
      return {
        may: [
          'read everything, the audit log included',
          'change production, with a point before',
          'use and remove any fork',
        ],
        mayNot: ['remove an app, purge the trash, or accept a bulkhead.yaml without a code each time'],
      };
    case 'cell':
      return {
        may: ['see itself and its state', 'work in itself, if it is a fork'],
        mayNot: ['see or reach any other app or fork', 'make forks'],
      };
    case 'service':
      return { may: [], mayNot: [] };
    case 'unproven': {
      const mine = parts.store.volumes
        .list()
        .filter(
          (one) => one.kind === 'fork' && (one.owner === String(caller.uid) || one.owner.startsWith(`${caller.uid}/`)),
        ).length;
      return {
        may: ['see what exists', `make forks (${mine} of ${FORK_QUOTA} used)`, 'use, reset and remove its own forks'],
        mayNot: ['change or read production (a person: bulkhead sign-in)'],
      };
    }
  }
}
