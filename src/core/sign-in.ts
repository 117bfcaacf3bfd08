import { INJECTION_VARIABLES } from './markers.ts';
import type { ObservedProcess } from './recognise.ts';

/** A caller's process and those above it, nearest first, as they were seen together. */
export interface Lineage {
  self: ObservedProcess;
  ancestors: readonly ObservedProcess[];
  /** False: the way up could not be followed to its end. */
  complete: boolean;
  /** In a pid namespace below the daemon's: a cell, a container, a sandbox. */
  nested: boolean;
}

/** A person's sign-in: good for what is typed into one shell at one terminal. */
export interface SignIn {
  person: string;
  uid: number;
  tty: number;
  shell: Pick<ObservedProcess, 'pid' | 'started' | 'image'>;
  /** Milliseconds after boot: when it was made, when it ends. */
  at: number;
  ends: number;
  /** When it ends, in milliseconds since 1970; for people. */
  until: number;
}

/** Our own command line program, as the kernel shows it: `exe` runs `script`. */
export interface Program {
  exe: string;
  script: string;
}

/** How long a sign-in lasts, in milliseconds. */
export const SIGN_IN_LASTS = 30 * 60_000;
/** Milliseconds after its start within which a program that was typed connects. */
export const CONNECT_WITHIN = 10_000;

const SHELLS =
  /^-?(?:ash|bash|busybox|csh|dash|elvish|fish|ion|ksh|ksh93|mksh|nu|oksh|osh|pwsh|rbash|sh|tcsh|xonsh|yash|zsh)$/;
/** Options of shells that take the next word. */
const WITH_VALUE = new Set([
  '--rcfile',
  '--init-file',
  '-o',
  '+o',
  '-O',
  '+O',
  '-C',
  '--init-command',
  '--config',
  '--env-config',
]);

/** Why nobody can sign in from this process, in a sentence; null where a person could. */
export function signInObstacle(lineage: Lineage): string | null {
  const { self } = lineage;
  const shell = lineage.ancestors[0];
  if (lineage.nested) return 'It runs inside a container or sandbox, and a person signs in on the machine itself.';
  if (!self.readable || shell?.readable === false) return 'The processes that it comes from cannot be looked at.';
  if (self.tty === 0) return 'It has no terminal, and a sign-in belongs to one.';
  if (shell === undefined || !isShell(shell)) return `It was started by ${programName(shell)}, not typed into a shell.`;
  if (!sameUser(self, shell)) return `The shell that it was typed into belongs to another user (uid ${shell.uids[0]}).`;
  if (shell.tty !== self.tty || shell.session !== self.session)
    return 'The shell that started it is on another terminal.';
  if (!isInteractive(shell) || self.group === shell.group)
    return `It was started by a script (process ${shell.pid}), not typed into a shell.`;
  if (self.group !== self.foreground) return 'It runs in the background of its terminal.';
  return null;
}

/** Why a sign-in does not cover a process, in a sentence; null where it does. Times in milliseconds after boot. */
export function uncoveredBecause(
  signIn: SignIn,
  lineage: Lineage,
  seen: { now: number; connected: number; known: boolean; program: Program },
): string | null {
  const { self } = lineage;
  const shell = lineage.ancestors[0];
  if (seen.now >= signIn.ends) return 'The sign-in of this terminal is over.';
  if (!lineage.complete || shell === undefined) return 'The processes that it comes from cannot be looked at.';
  if (self.tty !== signIn.tty) return 'It is on another terminal than the sign-in.';
  if (shell.pid !== signIn.shell.pid || shell.started !== signIn.shell.started)
    return `The sign-in of this terminal covers what is typed there, not what ${programName(shell)} starts.`;
  if (shell.image !== signIn.shell.image) return `The shell that was signed in has become ${programName(shell)}.`;
  if (!ownedBy(self, signIn.uid) || !ownedBy(shell, signIn.uid)) return 'It runs as another user than the sign-in.';
  const obstacle = signInObstacle(lineage);
  if (obstacle !== null) return obstacle;
  if (self.started < signIn.at) return 'It was started before the sign-in.';
  return programDoubt(self, seen.program) ?? (seen.known ? null : timeDoubt(self, seen.connected));
}

function programDoubt(self: ObservedProcess, program: Program): string | null {
  if (self.exe !== program.exe || self.argv[1] !== program.script)
    return `A sign-in covers the program "bulkhead" alone, and this is ${programName(self)}.`;
  const injected = self.environment.find(([name, value]) => value !== '' && INJECTION.has(name));
  return injected === undefined ? null : `Its environment has ${injected[0]}, which runs other code in it.`;
}

const INJECTION: ReadonlySet<string> = new Set(INJECTION_VARIABLES);

const timeDoubt = (self: ObservedProcess, connected: number): string | null =>
  connected - self.started > CONNECT_WITHIN ? 'It connected long after it was started.' : null;

const ownedBy = (process: ObservedProcess, uid: number): boolean =>
  process.uids.length > 0 && process.uids.every((each) => each === uid);

const sameUser = (self: ObservedProcess, shell: ObservedProcess): boolean =>
  self.uids[0] !== undefined && ownedBy(self, self.uids[0]) && ownedBy(shell, self.uids[0]);

const isShell = (process: ObservedProcess): boolean => SHELLS.test(fileName(process.exe ?? ''));

/** True for a shell that reads what is typed: neither `-c` nor a script among its arguments. */
function isInteractive(shell: ObservedProcess): boolean {
  const words = shell.argv.slice(fileName(shell.exe ?? '') === 'busybox' ? 2 : 1);
  for (let at = 0; at < words.length; at += 1) {
    const word = words[at] ?? '';
    if (WITH_VALUE.has(word)) at += 1;
    else if (!/^[-+]/.test(word) || /^-[a-z]*c/.test(word) || word === '--command') return false;
  }
  return true;
}

const fileName = (file: string): string =>
  file
    .replace(/ \(deleted\)$/, '')
    .split('/')
    .at(-1) ?? '';

function programName(process: ObservedProcess | undefined): string {
  if (process === undefined) return 'a process that is gone';
  const name = fileName(process.exe ?? '') || process.comm;
  return `${name.replace(/[^\w.+-]/g, '?').slice(0, 40)} (process ${process.pid})`;
}

/** A terminal's name from the kernel's number (proc_pid_stat(5): minor in bits 31–20 and 7–0, major in 15–8). */
export function terminalName(tty: number): string {
  const major = (tty >> 8) & 0xff;
  const minor = ((tty >>> 20) << 8) | (tty & 0xff);
  if (major >= 136 && major <= 143) return `/dev/pts/${(major - 136) * 256 + minor}`;
  if (major === 4) return minor < 64 ? `/dev/tty${minor}` : `/dev/ttyS${minor - 64}`;
  return `terminal ${major}:${minor}`;
}
