import { lstat, readdir, readFile } from 'node:fs/promises';
import type { Finding } from '../../contract/machine.ts';
import { judgeKernelReach, judgeReach, passwordless } from '../../core/reach.ts';
import { exec } from '../../host/exec.ts';
import { agentsOf } from './agents.ts';

/** A user whose processes are asked about, by /etc/passwd or a directory service. */
export interface Subject {
  user: string;
  uid: number;
  gid: number;
  home: string;
}

const BRIEF = { deadline: 3000, limit: 256 << 10 } as const;

/** The user of that name or uid; undefined: there is none. */
export async function subjectOf(key: string): Promise<Subject | undefined> {
  const { stdout } = await exec('getent', ['passwd', '--', key], { ...BRIEF, accept: [0, 2] });
  const [user, , uid, gid, , home] = stdout.split('\n')[0]?.split(':') ?? [];
  if (user === undefined || user === '' || !/^\d+$/.test(uid ?? '') || !/^\d+$/.test(gid ?? '')) return undefined;
  return { user, uid: Number(uid), gid: Number(gid), home: home ?? '' };
}

/** What an agent that runs as this user could reach. `pid`: a process whose groups count too. */
export async function checkReach(subject: Subject, more: { pid: number | null; app: string }): Promise<Finding[]> {
  const groups = await groupsOf(subject, more.pid);
  const [sudo, sockets, keys, agents] = await Promise.all([
    passwordlessFor(subject.user),
    openSockets(subject.uid, groups),
    readableKeys(subject),
    agentsOf(subject.uid),
  ]);
  const { user, uid } = subject;
  return judgeReach({ user, uid, groups: [...groups.values()], sudo, sockets, keys, agents, app: more.app });
}

/** Groups by number: those of the user, and those that a process kept from its log-in. */
async function groupsOf(subject: Subject, pid: number | null): Promise<Map<number, string>> {
  const { stdout } = await exec('id', ['-G', '--', subject.user], { ...BRIEF, accept: [0, 1] });
  const status = pid === null ? '' : await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  const kept = /^Groups:\s*(.*)$/m.exec(status)?.[1] ?? '';
  const numbers = `${stdout} ${kept}`.split(/\s+/).filter((word) => /^\d+$/.test(word));
  if (numbers.length === 0) return new Map();
  const names = await exec('getent', ['group', '--', ...new Set(numbers)], { ...BRIEF, accept: [0, 2] });
  return new Map(
    names.stdout.split('\n').flatMap((line): [number, string][] => {
      const [name, , gid] = line.split(':');
      return name === undefined || gid === undefined ? [] : [[Number(gid), name]];
    }),
  );
}

/** `-n` and no terminal: it never asks for a password. No sudo on the machine: nothing. */
async function passwordlessFor(user: string): Promise<string[]> {
  if (user === 'root') return [];
  return exec('sudo', ['-n', '-l', '-U', user], { ...BRIEF, accept: [0, 1] }).then(
    ({ stdout }) => passwordless(stdout),
    () => [],
  );
}

/** Their engines run as root. */
const SOCKETS = [
  '/run/docker.sock',
  '/run/containerd/containerd.sock',
  '/run/podman/podman.sock',
  '/run/crio/crio.sock',
  '/var/lib/lxd/unix.socket',
  '/var/lib/incus/unix.socket',
];

async function openSockets(uid: number, groups: ReadonlyMap<number, string>): Promise<{ path: string; by: string }[]> {
  const found = await Promise.all(
    SOCKETS.map(async (path) => {
      const seen = await lstat(path).catch(() => undefined);
      if (!seen?.isSocket()) return [];
      if ((seen.mode & 0o002) !== 0) return [{ path, by: 'everybody' }];
      if (seen.uid === uid && uid !== 0) return [{ path, by: 'this user, who owns it' }];
      const group = groups.get(seen.gid);
      return group === undefined || (seen.mode & 0o020) === 0 ? [] : [{ path, by: `group ${group}` }];
    }),
  );
  return found.flat();
}

/**
 * Looked for as the user and by programs that follow no link: the directory is the user's,
 * and root opens nothing there. A home that answers never ends with the deadline.
 */
async function readableKeys({ uid, gid, home }: Subject): Promise<string[]> {
  if (!home.startsWith('/') || home === '/') return [];
  const asUser = [`--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', '--no-new-privs'];
  const test = ['-maxdepth', '1', '-type', 'f', '-perm', '/044', '-size', '-64k'];
  const isKey = ['-exec', 'grep', '-q', '-m', '1', '-e', '-----BEGIN .*PRIVATE KEY-----', '--', '{}', ';', '-print0'];
  return exec('setpriv', [...asUser, 'find', `${home}/.ssh`, ...test, ...isKey], { ...BRIEF, accept: [0, 1] }).then(
    ({ stdout }) =>
      stdout
        .split('\0')
        .filter((name) => name !== '')
        .slice(0, 5),
    () => [],
  );
}

/** What holds for every user of this machine. */
export async function checkKernelReach(): Promise<Finding[]> {
  const setting = (name: string): Promise<number | null> =>
    readFile(`/proc/sys/${name}`, 'utf8').then(Number, () => null);
  return judgeKernelReach({
    ptraceScope: await setting('kernel/yama/ptrace_scope'),
    legacyTiocsti: await setting('dev/tty/legacy_tiocsti'),
    hostKeys: await hostKeys(),
  });
}

/** The machine's own ssh keys that others may read; the directory is root's. */
async function hostKeys(): Promise<string[]> {
  const names = await readdir('/etc/ssh').catch(() => []);
  const keys = names.filter((name) => /^ssh_host_\w+_key$/.test(name)).map((name) => `/etc/ssh/${name}`);
  const open = await Promise.all(
    keys.map(async (key) => {
      const seen = await lstat(key).catch(() => undefined);
      return seen !== undefined && seen.isFile() && (seen.mode & 0o044) !== 0;
    }),
  );
  return keys.filter((_, at) => open[at]);
}
