import type { Finding } from '../contract/machine.ts';
import { formatBytes } from '../contract/units.ts';

/** What the checks of a machine come to. Facts in, findings out; whoever calls has looked. */

export const fine = (check: string, text: string): Finding => ({ level: 'ok', check, text, why: null, remedy: null });
export const warn = (check: string, text: string, why: string | null, remedy: string | null): Finding => ({
  level: 'warn',
  check,
  text,
  why,
  remedy,
});
export const bad = (check: string, text: string, why: string | null, remedy: string | null): Finding => ({
  level: 'bad',
  check,
  text,
  why,
  remedy,
});

/** The findings that were made, or the one line that says all is well. */
export const orFine = (found: readonly (Finding | null)[], check: string, text: string): Finding[] => {
  const made = found.filter((finding) => finding !== null);
  return made.length === 0 ? [fine(check, text)] : made;
};

export interface KernelFacts {
  /** As in `uname -r`. */
  release: string;
  /** What to do where the kernel is too old; null: it is not. */
  tooOld: string | null;
  simpleQuotas: boolean | null;
  peerPidfds: boolean;
  idmappedMounts: boolean;
  userNamespaces: boolean;
}

export function judgeKernel(facts: KernelFacts): Finding[] {
  const short = facts.release.split('.').slice(0, 2).join('.');
  if (facts.tooOld !== null)
    return [
      bad(
        'kernel',
        `kernel ${short} is too old: 6.8 or newer is needed`,
        'Caps of forks need its simple quotas.',
        facts.tooOld,
      ),
    ];
  const lacks = (what: string, why: string, remedy: string | null): Finding =>
    bad('kernel', `this kernel has no ${what}`, why, remedy);
  return orFine(
    [
      facts.simpleQuotas === null
        ? warn('kernel', 'the kernel has not loaded btrfs', null, 'sudo modprobe btrfs')
        : null,
      facts.simpleQuotas === false ? lacks('simple quotas', 'Forks would not be capped.', null) : null,
      facts.peerPidfds ? null : lacks('pidfds of peers', 'Who asks could not be told for sure.', null),
      facts.idmappedMounts ? null : lacks('idmapped mounts', 'A cell could not see its files under its own ids.', null),
      facts.userNamespaces
        ? null
        : lacks(
            'user namespaces',
            'The limit on them is 0, and every cell is one.',
            'sudo sysctl user.max_user_namespaces=15000',
          ),
    ],
    'kernel',
    `kernel ${short}`,
  );
}

export interface ToolFact {
  name: string;
  package: string;
  /** Null: it is not there. Empty: it does not say. */
  version: string | null;
}

export function judgeTools(tools: readonly ToolFact[]): Finding[] {
  const missing = tools.filter((tool) => tool.version === null);
  return [
    ...missing.map((tool) =>
      bad('tools', `the program ${tool.name} is not installed`, null, `sudo apt-get install ${tool.package}`),
    ),
    // One of a package says enough of what is there.
    ...tools
      .filter((tool, at) => tool.version !== null && tools.findIndex((other) => other.package === tool.package) === at)
      .map((tool) => fine('tools', `${tool.name} ${tool.version}`.trim())),
  ];
}

/** `controllers`: what cgroup v2 gives to the root's children. */
export function judgeCgroups(facts: {
  version: 1 | 2 | null;
  controllers: readonly string[];
  systemd: boolean;
}): Finding[] {
  if (facts.version === null)
    return [
      bad(
        'cgroups',
        'no cgroups are mounted',
        'Cells could not be limited or ended whole.',
        'sudo mount -t cgroup2 none /sys/fs/cgroup',
      ),
    ];
  if (facts.version === 1)
    return [
      warn(
        'cgroups',
        'cgroup v1: beside a fork that writes, production has the limit of write-back alone',
        'Version 1 knows no weights of I/O for buffered writes, and no memory.low.',
        facts.systemd ? 'add systemd.unified_cgroup_hierarchy=1 to the command line of the kernel, and reboot' : null,
      ),
    ];
  const missing = ['cpu', 'io', 'memory', 'pids'].filter((name) => !facts.controllers.includes(name));
  return orFine(
    missing.map((name) =>
      bad(
        'cgroups',
        `cgroup v2 has no controller ${name}`,
        'Cells are not limited in it.',
        `echo +${name} | sudo tee /sys/fs/cgroup/cgroup.subtree_control`,
      ),
    ),
    'cgroups',
    'cgroup v2',
  );
}

/** Characters that a line of merged phrases may have: a terminal's, less the mark before it. */
const WIDTH = 76;

/** What is well stands first, as few lines as fit; everything else as it was found. */
export function mergeFine(groups: readonly (readonly Finding[])[]): Finding[] {
  return [...groups.flatMap(linesOfFine), ...groups.flat().filter((finding) => finding.level !== 'ok')];
}

function linesOfFine(group: readonly Finding[]): Finding[] {
  const lines: Finding[] = [];
  for (const finding of group) {
    if (finding.level !== 'ok') continue;
    const last = lines.at(-1);
    if (last === undefined || last.text.length + finding.text.length + 2 > WIDTH) lines.push({ ...finding });
    else last.text += `, ${finding.text}`;
  }
  return lines;
}

/** Bytes of disk below which a machine is close to standing still. */
export const diskTight = (disk: { free: number; size: number }): boolean =>
  disk.free < Math.min(2 ** 30, disk.size * 0.05) || disk.free < disk.size * 0.03;

export const judgeDisk = (disk: { free: number; size: number }, where: string): Finding[] =>
  diskTight(disk)
    ? [
        warn(
          'disk',
          `the disk of ${where} is nearly full: ${formatBytes(disk.free)} of ${formatBytes(disk.size)} free`,
          'State and audit log need room there.',
          'sudo du -xh --max-depth=2 / | sort -h | tail',
        ),
      ]
    : [];
