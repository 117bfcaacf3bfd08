import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { randomUUID } from 'node:crypto';
import { DENIALS } from '../../src/host/cells/seccomp.ts';
import { run, type Machine, type Ran } from '../builders/machine.ts';

/** Every capability there is, by its number. */
const ALL = [
  'CHOWN',
  'DAC_OVERRIDE',
  'DAC_READ_SEARCH',
  'FOWNER',
  'FSETID',
  'KILL',
  'SETGID',
  'SETUID',
  'SETPCAP',
  'LINUX_IMMUTABLE',
  'NET_BIND_SERVICE',
  'NET_BROADCAST',
  'NET_ADMIN',
  'NET_RAW',
  'IPC_LOCK',
  'IPC_OWNER',
  'SYS_MODULE',
  'SYS_RAWIO',
  'SYS_CHROOT',
  'SYS_PTRACE',
  'SYS_PACCT',
  'SYS_ADMIN',
  'SYS_BOOT',
  'SYS_NICE',
  'SYS_RESOURCE',
  'SYS_TIME',
  'SYS_TTY_CONFIG',
  'MKNOD',
  'LEASE',
  'AUDIT_WRITE',
  'AUDIT_CONTROL',
  'SETFCAP',
  'MAC_OVERRIDE',
  'MAC_ADMIN',
  'SYSLOG',
  'WAKE_ALARM',
  'BLOCK_SUSPEND',
  'AUDIT_READ',
  'PERFMON',
  'BPF',
  'CHECKPOINT_RESTORE',
].map((name) => `CAP_${name}`);

/** CAP_SYS_RESOURCE is withheld from every cell: with it, root there could raise its own limit of user namespaces. */
const MOST = ALL.filter((name) => name !== 'CAP_SYS_RESOURCE');

/** Those that this process has: a weak cell without a user namespace of its own cannot have more. */
async function ours(): Promise<string[]> {
  const set = BigInt(`0x${/^CapBnd:\s*(\w+)/m.exec(await readFile('/proc/self/status', 'utf8'))?.[1] ?? '0'}`);
  return ALL.filter((_, number) => (set & (1n << BigInt(number))) !== 0n);
}

/** Runs a command in a container, as root or as the cell's user. */
export type Enter = (command: readonly string[], as?: Position, input?: string) => Promise<Ran>;
/** `root`: uid 0 with every capability of its user namespace. `agent`: as a session has it. */
export type Position = 'root' | 'agent';

function processOf(command: readonly string[], as: Position, most: readonly string[]): object {
  const capabilities = as === 'root' ? most : [];
  const id = as === 'root' ? 0 : 1000;
  return {
    terminal: false,
    user: { uid: id, gid: id, additionalGids: as === 'root' ? [] : [999] },
    args: command,
    env: ['PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'HOME=/tmp', 'LANG=C.UTF-8'],
    cwd: '/',
    capabilities: Object.fromEntries(
      ['bounding', 'effective', 'permitted', 'inheritable', 'ambient'].map((set) => [set, capabilities]),
    ),
    noNewPrivileges: as === 'agent',
  };
}

function enter(root: string, name: string, most: readonly string[]): Enter {
  return async (command, as = 'root', input) => {
    const file = `/run/bulkhead-attack-${randomUUID()}.json`;
    await writeFile(file, JSON.stringify(processOf(command, as, most)));
    try {
      return await run('runc', ['--root', root, 'exec', '--process', file, name], {
        deadline: 40_000,
        ...(input === undefined ? {} : { input }),
      });
    } finally {
      await rm(file);
    }
  };
}

const cellsOf = (machine: Machine): string => path.join(machine.paths.run, 'cells');

/**
 * The door into a running cell that only tests have: root of the cell with every capability that
 * its namespaces can give but the one that is withheld, behind the cell's own seccomp profile. Stronger than anything that
 * a cell holds today; an engine would hold it.
 */
export const doorOf = (machine: Machine, cell: string): Enter =>
  enter(path.join(cellsOf(machine), '.runtime'), cell, MOST);

interface Config {
  process: object;
  root: { path: string };
  mounts: { destination: string; source: string; options: string[] }[];
  linux: {
    namespaces: { type: string }[];
    seccomp?: { syscalls: object[] };
    resources?: object;
    sysctl?: object;
    cgroupsPath?: string;
    uidMappings?: object[];
    gidMappings?: object[];
  };
}

/** What is taken out of a cell's walls. */
export interface Weakening {
  /** Root of the container is root of the machine, sees its processes and groups, and may make devices. */
  ids?: boolean;
  /** `none`: no filter. `unmasked`: arguments compared whole, and every denial says 222. */
  seccomp?: 'none' | 'unmasked';
  /** No limits: of its group, of its terminals. */
  limits?: boolean;
  /** It has the machine's network. */
  network?: boolean;
}

/** The errno of denials in the unmasked profile: no call has it by itself. */
export const DENIED = 222;

/** A container made from a running cell's own configuration, with one wall weakened. */
export interface WeakCell {
  enter: Enter;
  remove(): Promise<void>;
}

/** `app`: the directory that is `/app` there. */
export async function weaken(machine: Machine, cell: string, app: string, how: Weakening): Promise<WeakCell> {
  const bundle = path.join(cellsOf(machine), cell);
  const config = JSON.parse(await readFile(path.join(bundle, 'config.json'), 'utf8')) as Config;
  const made = await mkdtemp('/run/bulkhead-attack-');
  const name = path.basename(made);
  const root = path.join(made, 'state');
  config.root.path = path.join(bundle, config.root.path);
  const most = how.ids === true ? await ours() : MOST;
  config.process = processOf(['/usr/bin/sleep', '300'], 'root', most);
  for (const mount of config.mounts) if (mount.destination === '/app') mount.source = app;
  config.linux.cgroupsPath = `/${machine.paths.cgroup}/${name}`;
  if (how.ids === true) takeIds(config);
  if (how.limits === true) {
    delete config.linux.resources;
    for (const mount of config.mounts) mount.options = mount.options.filter((option) => !option.startsWith('max='));
  }
  if (how.network === true) {
    config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== 'network');
    delete config.linux.sysctl;
  }
  if (how.seccomp === 'none') delete config.linux.seccomp;
  else if (how.seccomp === 'unmasked') config.linux.seccomp = unmasked();
  await writeFile(path.join(made, 'config.json'), JSON.stringify(config));
  await mkdir(root);
  const log = path.join(made, 'log');
  // Its output goes nowhere: process 1 would hold a pipe open.
  const ran = await run('sh', [
    '-c',
    `exec runc --root "${root}" --log "${log}" run --detach --bundle "${made}" "${name}" </dev/null >/dev/null 2>&1`,
  ]);
  if (ran.code !== 0) throw new Error(`the weak cell did not start: ${await readFile(log, 'utf8').catch(() => '')}`);
  return {
    enter: enter(root, name, most),
    async remove() {
      await run('runc', ['--root', root, 'delete', '--force', name]);
      await rm(made, { recursive: true, force: true });
    },
  };
}

function takeIds(config: Config): void {
  config.linux.namespaces = config.linux.namespaces.filter(({ type }) => !['user', 'pid', 'cgroup'].includes(type));
  delete config.linux.uidMappings;
  delete config.linux.gidMappings;
  config.linux.resources = { devices: [{ allow: true, access: 'rwm' }] };
}

/** As a profile looks whose author did not know that the kernel reads half of an argument. */
function unmasked(): { syscalls: object[] } {
  const profile = {
    defaultAction: 'SCMP_ACT_ALLOW',
    architectures: [process.arch === 'arm64' ? 'SCMP_ARCH_AARCH64' : 'SCMP_ARCH_X86_64'],
    syscalls: DENIALS.map(({ calls, when = [] }) => ({
      names: calls,
      action: 'SCMP_ACT_ERRNO',
      errnoRet: DENIED,
      args: when.map(({ index, value }) => ({ index, value, op: 'SCMP_CMP_EQ' })),
    })),
  };
  return profile;
}
