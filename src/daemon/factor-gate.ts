import { AppError } from '../contract/errors.ts';
import type { Operation } from '../contract/operation.ts';
import type { Caller } from '../core/caller.ts';
import type { Factors } from './factors.ts';
import type { SignIns } from './sign-ins.ts';
import type { Target } from './target.ts';

/** The second factor in the way of a request: asked, checked, and what it opens. */
export interface FactorGate {
  enrolled(): boolean;
  enrol(person: string): Promise<{ person: string; uri: string; recovery: string[] }>;
  /** Checks the code that came with a request. Throws `factor-required`, `factor-wrong`, `too-many`. */
  demand(caller: Caller, code: string | undefined, operation: Operation, target: Target): Promise<void>;
  /** The person whose code the request brought. */
  confirmed(caller: Caller): string;
  signIn(caller: Caller): { person: string; terminal: string; until: string };
  signOut(caller: Caller): number;
}

export function createFactorGate(deps: {
  factors: Factors;
  signIns: SignIns;
  uidOf: (person: string) => Promise<number | undefined>;
  /** A new person may connect from now on. */
  enrolledOne: () => Promise<void>;
}): FactorGate {
  const { factors, signIns } = deps;
  /** Whose code it was, for as long as the request lives. */
  const proved = new WeakMap<Caller, string>();
  const whose = (caller: Caller): string => {
    const person = proved.get(caller);
    if (person === undefined) throw new AppError('factor-required', 'A code of the second factor is needed');
    return person;
  };

  return {
    enrolled: () => factors.enrolled(),
    async enrol(person) {
      const uid = await deps.uidOf(person);
      if (uid === undefined)
        throw new AppError('not-found', `There is no user "${person.slice(0, 40)}" on this machine`, {
          next: ['sudo bulkhead init --person USER'],
        });
      return factors.enrol(person, uid);
    },
    async demand(caller, code, operation, target) {
      if (code === undefined)
        throw new AppError('factor-required', ask(operation, target), {
          next: ['the same command with a code: --code 123456'],
        });
      if (caller.kind === 'service' || caller.kind === 'cell')
        throw new AppError('refused', "A code of the second factor is a person's to give");
      // The one operation that finishes an enrolment takes the new phone's first code.
      if (!(operation.beforeInit === true && operation.factor === 'always'))
        proved.set(caller, await factors.check(caller.uid, code));
      else {
        proved.set(caller, await factors.confirm(code));
        await deps.enrolledOne();
      }
    },
    confirmed: whose,
    signIn(caller) {
      const { person, terminal, until } = signIns.begin(caller, whose(caller));
      return { person, terminal, until: new Date(until).toISOString() };
    },
    signOut: (caller) => signIns.end(caller),
  };
}

function ask(operation: Operation, target: Target): string {
  const what = target.name === null ? operation.command : `${operation.command} of ${target.name}`;
  return operation.command === 'sign-in' || operation.command === ''
    ? 'Your code is needed'
    : `Your code is needed for exactly this: ${what}`;
}
