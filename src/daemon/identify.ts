import { AppError } from '../contract/errors.ts';
import type { Caller } from '../core/caller.ts';
import type { Id } from '../core/ids.ts';
import { recognise } from '../core/recognise.ts';
import { signInObstacle, terminalName, type Lineage, type SignIn } from '../core/sign-in.ts';
import type { Processes } from '../host/processes.ts';
import { peerCredentials, peerPidfd } from '../host/syscalls.ts';
import type { SignIns } from './sign-ins.ts';

/** An accepted connection, and the socket that it came through. */
export type Connection = {
  fd: number;
  /** When it was accepted, in milliseconds after boot; absent: now. */
  connected?: number;
} & ({ channel: 'local' } | { channel: 'cell'; cell: Id; idBase: number });

/** Host ids that cells run under; a process with one of them is in a cell, whatever else it shows. */
export const CELL_IDS = { first: 0x7000_0000, last: 0x7ffd_ffff } as const;
/** Ids of one cell. */
const CELL_RANGE = 65_536;

/**
 * Says who asks. The channel decides: through a cell's socket only that cell, through the
 * machine's an unproven caller, or the person whose sign-in covers it. Asked for every
 * request: a connection outlives what its process was.
 * Throws `refused` for a process that the channel is not for, or that is gone.
 */
export function createIdentify(deps: {
  processes: Processes;
  signIns: SignIns;
  users: { nameOf(uid: number): Promise<string | null> };
}): (connection: Connection) => Promise<Caller> {
  const { processes, signIns, users } = deps;

  return async (connection) => {
    const { pid, uid } = peerCredentials(connection.fd);
    const lineage = await observe(processes, connection, pid);
    // Who connected is gone: whoever holds the connection now is not who the kernel names.
    if (lineage === undefined) throw refused(`The process that connected (${pid}, uid ${uid}) is gone`);
    if (connection.channel === 'cell') return inCell(connection, pid, uid, lineage);
    if (lineage.nested || isCellId(uid) || lineage.self.uids.some(isCellId))
      throw refused(
        `Process ${pid} (uid ${uid}) runs in a cell, container or sandbox, and this socket is the machine's`,
      );

    const user = await users.nameOf(uid);
    // A process that connected as one user and is another now has the sign-in of neither.
    const steady = lineage.self.uids.every((each) => each === uid);
    const found = steady ? signIns.find(lineage, connection.connected ?? processes.sinceBoot()) : { uncovered: null };
    const caller = onMachine({ uid, user, pid }, lineage, found);
    signIns.remember(caller, lineage);
    return caller;
  };
}

async function observe(processes: Processes, connection: Connection, pid: number): Promise<Lineage | undefined> {
  // Number 0: a process of a pid namespace that cannot be seen from here.
  if (pid <= 0) return undefined;
  let pidfd: number;
  try {
    pidfd = peerPidfd(connection.fd);
  } catch {
    return undefined;
  }
  try {
    return await processes.observe(pidfd, pid, connection.channel === 'cell' ? 'brief' : 'whole');
  } finally {
    processes.release(pidfd);
  }
}

function inCell(cell: { cell: Id; idBase: number }, pid: number, uid: number, lineage: Lineage): Caller {
  const inside = (id: number): boolean => id >= cell.idBase && id < cell.idBase + CELL_RANGE;
  if (!lineage.nested || !inside(uid) || lineage.self.uids.length === 0 || !lineage.self.uids.every(inside))
    throw refused(`Process ${pid} (uid ${uid}) is not one of the cell that this socket belongs to`);
  const evidence = [`process ${pid}, uid ${uid - cell.idBase} of the cell, through the cell's socket`];
  return { kind: 'cell', cell: cell.cell, uid, user: null, pid, evidence };
}

function onMachine(
  who: { uid: number; user: string | null; pid: number },
  lineage: Lineage,
  found: { signIn: SignIn } | { uncovered: string | null },
): Caller {
  const { agent, evidence, hints, override } = recognise([lineage.self, ...lineage.ancestors]);
  if ('signIn' in found && agent === null) {
    const { person, tty, until } = found.signIn;
    const terminal = terminalName(tty);
    return { kind: 'person', ...who, person, terminal, until, evidence: [`signed in at ${terminal}`, ...hints] };
  }
  const uncovered = 'signIn' in found ? 'A sign-in covers what a person types, not an agent.' : found.uncovered;
  return {
    kind: 'unproven',
    ...who,
    agent,
    override,
    evidence: [...evidence, ...hints],
    obstacle: signInObstacle(lineage),
    uncovered,
  };
}

const isCellId = (uid: number): boolean => uid >= CELL_IDS.first && uid <= CELL_IDS.last;

const refused = (message: string): AppError => new AppError('refused', message, { next: ['bulkhead whoami'] });
