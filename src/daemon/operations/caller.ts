import { POLICY } from '../../core/policy.ts';
import type { Handler } from '../handler.ts';
import { describeRights } from '../rights.ts';

export const show: Handler<'caller.show'> = {
  async run({ parts, caller }) {
    if (caller.kind === 'service') throw new TypeError('a service asks nothing of itself');
    return {
      caller: caller.kind,
      uid: caller.uid,
      user: caller.user,
      pid: caller.pid,
      channel: caller.kind === 'cell' ? "the cell's own socket" : 'the local socket',
      agent: caller.kind === 'unproven' ? caller.agent : null,
      evidence: [
        ...caller.evidence,
        ...(caller.kind === 'unproven' && typeof caller.uncovered === 'string' ? [caller.uncovered] : []),
      ],
      until: caller.kind === 'person' ? new Date(caller.until).toISOString() : null,
      ...describeRights(parts, caller),
    };
  },
};

export const signIn: Handler<'caller.sign-in'> = {
  run: async ({ parts, caller }) => parts.factors.signIn(caller),
};

export const signOut: Handler<'caller.sign-out'> = {
  run: async ({ parts, caller }) => ({ ended: parts.factors.signOut(caller) }),
};

export const policy: Handler<'policy.show'> = {
  run: async () => ({ rules: POLICY.map((rule) => ({ ...rule })) }),
};
