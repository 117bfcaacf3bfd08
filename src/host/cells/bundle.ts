import { existsSync } from 'node:fs';
import path from 'node:path';
import type { CellSpec } from '../cells.ts';
import { initProcess } from './process.ts';
import { DENIALS, FORK_DENIALS, seccompProfile } from './seccomp.ts';
import { TERMINALS } from './shared-limits.ts';

/** Host ids of a cell: as many as a 16-bit id can name. */
export const ID_COUNT = 65_536;

/** What a bundle is made from. */
export interface BundleInput {
  spec: CellSpec;
  bundle: string;
  /** The directories behind the accepted paths. */
  sources: ReadonlyMap<string, string>;
  /** The idmapped mount of the app's files. */
  app: string;
  /** Of the cell, as every hierarchy names it. */
  cgroup: string;
  node: string;
  /** The directory with our bundled programs. */
  programs: string;
  /** True where the kernel accounts swap. */
  swap: boolean;
}

interface Mount {
  destination: string;
  type: string;
  source: string;
  options: string[];
}

const MIB = 1 << 20;

const bind = (source: string, destination: string, ...options: string[]): Mount => ({
  destination,
  type: 'bind',
  source,
  options: ['bind', 'nosuid', 'nodev', ...options],
});

/** Read-only with all that is mounted below it (`rro`: mount_setattr(2), recursive). */
const readOnlyTree = (source: string, destination = source): Mount => ({
  destination,
  type: 'bind',
  source,
  options: ['rbind', 'rro', 'nosuid', 'nodev'],
});

/** `copyUp`: starts with what the root filesystem has there. What is in it counts as the cell's memory. */
const tmpfs = (destination: string, bytes: number, options: string[], copyUp = false): Mount => ({
  destination,
  type: 'tmpfs',
  source: 'tmpfs',
  options: ['nosuid', 'nodev', `size=${Math.floor(bytes / 1024)}k`, ...options, ...(copyUp ? ['tmpcopyup'] : [])],
});

const special = (destination: string, type: string, ...options: string[]): Mount => ({
  destination,
  type,
  source: type,
  options,
});

/** In the kernel's order: what lies inside another comes after it. */
function mounts(input: BundleInput): Mount[] {
  const { spec, bundle } = input;
  const share = (part: number) => Math.max(16 * MIB, Math.floor(spec.limits.memory * part));
  return [
    special('/proc', 'proc', 'nosuid', 'noexec', 'nodev'),
    special('/sys', 'sysfs', 'ro', 'nosuid', 'noexec', 'nodev'),
    {
      destination: '/dev',
      type: 'tmpfs',
      source: 'tmpfs',
      options: ['nosuid', 'strictatime', 'mode=755', 'size=1024k'],
    },
    special(
      '/dev/pts',
      'devpts',
      'nosuid',
      'noexec',
      'newinstance',
      'ptmxmode=0666',
      'mode=0620',
      'gid=5',
      `max=${TERMINALS[spec.role]}`,
    ),
    tmpfs('/dev/shm', share(0.5), ['noexec', 'mode=1777']),
    special('/dev/mqueue', 'mqueue', 'nosuid', 'noexec', 'nodev'),
    readOnlyTree('/usr'),
    bind(path.join(bundle, 'etc'), '/etc', 'ro', 'noexec'),
    ...['/etc/alternatives', '/etc/ssl/certs']
      .filter((part) => existsSync(part))
      .map((part) => bind(part, part, 'ro', 'noexec')),
    tmpfs('/run', 64 * MIB, ['mode=755'], true),
    tmpfs('/tmp', share(0.5), ['mode=1777']),
    tmpfs('/var', share(0.25), ['mode=755'], true),
    tmpfs('/root', 16 * MIB, ['mode=700']),
    tmpfs('/home/agent', share(0.25), ['mode=700', 'uid=1000', 'gid=1000']),
    bind(path.join(bundle, 'programs'), '/opt/bulkhead', 'ro'),
    bind(input.node, '/opt/bulkhead/node', 'ro'),
    bind(input.programs, '/opt/bulkhead/dist', 'ro'),
    ...spec.paths.map((accepted) => readOnlyTree(input.sources.get(accepted) ?? accepted, accepted)),
    bind(spec.socketDir, '/run/bulkhead', 'ro', 'noexec'),
    bind(path.join(bundle, 'hooks'), '/run/bulkhead-hooks', 'ro'),
    bind(input.app, '/app'),
  ];
}

const CPU_PERIOD = 100_000;

function resources({ spec, swap }: BundleInput): object {
  const { memory, cpus, pids } = spec.limits;
  return {
    devices: [{ allow: false, access: 'rwm' }],
    memory: { limit: memory, ...(swap ? { swap: memory } : {}) },
    cpu: { period: CPU_PERIOD, quota: Math.round(cpus * CPU_PERIOD) },
    pids: { limit: pids },
  };
}

/** The configuration of a cell, for `config.json` of an OCI bundle. */
export function bundleConfig(input: BundleInput): object {
  const { spec } = input;
  const mapping = [{ containerID: 0, hostID: spec.idBase, size: ID_COUNT }];
  return {
    ociVersion: '1.0.2',
    hostname: spec.name,
    process: initProcess(spec.role),
    root: { path: 'rootfs', readonly: true },
    mounts: mounts(input),
    linux: {
      namespaces: ['user', 'mount', 'pid', 'network', 'ipc', 'uts', 'cgroup'].map((type) => ({ type })),
      uidMappings: mapping,
      gidMappings: mapping,
      cgroupsPath: `/${input.cgroup}`,
      resources: resources(input),
      seccomp: seccompProfile(spec.role === 'fork' ? [...DENIALS, ...FORK_DENIALS] : DENIALS),
      // Both are of the cell's own network namespace: ping and ports below 1024 for a user without capabilities.
      sysctl: { 'net.ipv4.ping_group_range': `0 ${ID_COUNT - 1}`, 'net.ipv4.ip_unprivileged_port_start': '0' },
      maskedPaths: [],
      readonlyPaths: [],
    },
  };
}
