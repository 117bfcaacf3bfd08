import { AppError } from '../contract/errors.ts';
import type { Caller } from '../core/caller.ts';
import {
  SIGN_IN_LASTS,
  signInObstacle,
  terminalName,
  uncoveredBecause,
  type Lineage,
  type Program,
  type SignIn,
} from '../core/sign-in.ts';
import type { Processes } from '../host/processes.ts';

/** The sign-ins of persons. They live in memory and end with the daemon. */
export interface SignIns {
  /**
   * Signs a person in at the terminal and shell that a caller comes from. The second factor has
   * been checked. Throws `refused` where there is no such shell, or it has changed since.
   */
  begin(caller: Caller, person: string): { person: string; terminal: string; until: number };
  /** Ends the sign-ins of the caller's user at the caller's terminal; says how many. */
  end(caller: Caller): number;
  /** The sign-in that covers a process, or why that of its terminal does not (null: there is none). */
  find(lineage: Lineage, connected: number): { signIn: SignIn } | { uncovered: string | null };
  /** Keeps what was seen of a caller's processes for as long as the caller is used. */
  remember(caller: Caller, lineage: Lineage): void;
  /** Lets go of every shell; nobody is signed in afterwards. */
  close(): void;
}

interface Held extends SignIn {
  /** Of the shell. */
  pidfd: number;
  /** Processes that were covered once: a program that waited for a code connects again late. */
  covered: Set<string>;
}

const MOST = 256;
const MOST_COVERED = 64;

export function createSignIns(deps: { processes: Processes; clock: () => number; program: Program }): SignIns {
  const { processes } = deps;
  const seen = new WeakMap<Caller, Lineage>();
  let held: Held[] = [];

  function drop(which: (signIn: Held) => boolean): number {
    const gone = held.filter(which);
    held = held.filter((signIn) => !gone.includes(signIn));
    for (const signIn of gone) processes.release(signIn.pidfd);
    return gone.length;
  }

  const prune = (): number => drop((signIn) => processes.sinceBoot() >= signIn.ends || !processes.alive(signIn.pidfd));

  return {
    begin(caller, person) {
      prune();
      const lineage = seen.get(caller);
      const shell = lineage?.ancestors[0];
      const obstacle =
        lineage === undefined || caller.kind === 'cell' ? 'It is no process of this machine.' : signInObstacle(lineage);
      if (caller.kind === 'unproven' && caller.agent !== null) throw refused('It looks like an agent.');
      if (obstacle !== null || lineage === undefined || shell === undefined) throw refused(obstacle);
      const pidfd = processes.hold(shell);
      if (pidfd === undefined) throw refused('Its shell has ended.');
      const { uids, tty } = lineage.self;
      drop((signIn) => signIn.shell.pid === shell.pid);
      if (held.length >= MOST) {
        processes.release(pidfd);
        throw new AppError('too-many', `There are ${MOST} sign-ins on this machine already`, {
          next: ['bulkhead sign-out'],
        });
      }
      const at = processes.sinceBoot();
      const until = deps.clock() + SIGN_IN_LASTS;
      const { pid, started, image } = shell;
      const shellSeen = { pid, started, image };
      held.push({
        person,
        uid: uids[0] ?? -1,
        tty,
        shell: shellSeen,
        at,
        ends: at + SIGN_IN_LASTS,
        until,
        pidfd,
        covered: new Set(),
      });
      return { person, terminal: terminalName(tty), until };
    },
    end(caller) {
      const self = seen.get(caller)?.self;
      return self === undefined ? 0 : drop((signIn) => signIn.uid === self.uids[0] && signIn.tty === self.tty);
    },
    find(lineage, connected) {
      prune();
      const { self } = lineage;
      const near = held.filter((signIn) => signIn.tty === self.tty && signIn.uid === self.uids[0]);
      const own = near.find((signIn) => signIn.shell.pid === lineage.ancestors[0]?.pid) ?? near[0];
      if (own === undefined) return { uncovered: null };
      const key = `${self.pid} ${self.started} ${self.image}`;
      const uncovered = uncoveredBecause(own, lineage, {
        now: processes.sinceBoot(),
        connected,
        known: own.covered.has(key),
        program: deps.program,
      });
      if (uncovered !== null) return { uncovered };
      own.covered.add(key);
      if (own.covered.size > MOST_COVERED) own.covered.delete([...own.covered][0] ?? '');
      return { signIn: own };
    },
    remember: (caller, lineage) => void seen.set(caller, lineage),
    close: () => void drop(() => true),
  };
}

const refused = (why: string | null): AppError =>
  new AppError('refused', 'Nobody can sign in from here', {
    why: why ?? undefined,
    next: ['bulkhead sign-in    (typed into a shell in a terminal)'],
  });
