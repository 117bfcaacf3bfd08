// What there is on this machine that a test could leave behind. Printed, one thing a line, or compared.

import { globSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** Carried by everything that a gate starts, so that a process which outlived it is known. */
export const RUN_MARK = 'BULKHEAD_TEST_RUN';

/** Things by kind; each thing is one line. */
export type Snapshot = Record<
  'mount' | 'loop' | 'namespace' | 'cgroup' | 'interface' | 'folder' | 'process',
  Set<string>
>;

/** Reads what there is now. `mark`: the run whose processes are looked for, besides those named after us. */
export function snapshot(mark?: string): Snapshot {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return {
    mount: new Set(mounts()),
    loop: new Set(loops()),
    namespace: new Set([...namedNamespaces(), ...networkNamespaces(pids)]),
    cgroup: new Set(globSync('/sys/fs/cgroup/**/')),
    interface: new Set(listed('/sys/class/net')),
    folder: new Set(globSync(['/var/lib/bulkhead*', '/run/bulkhead*', '/run/netns/*', '/tmp/bulkhead*'])),
    process: new Set(pids.flatMap((pid) => ours(pid, mark))),
  };
}

/** What is there after and was not before, one line each. */
export function difference(before: Snapshot, after: Snapshot): string[] {
  const kinds = Object.keys(after) as (keyof Snapshot)[];
  return kinds.flatMap((kind) =>
    [...after[kind]].filter((thing) => !before[kind].has(thing)).map((thing) => `${kind} ${thing}`),
  );
}

/** Whether a line of `difference` bears our name. Where other things run, what bears none may be theirs. */
export function isOurs(line: string): boolean {
  return /bulkhead|^(interface|namespace named|folder \/run\/netns\/) ?bh/.test(line);
}

function mounts(): string[] {
  const lines = read('/proc/self/mountinfo').trim().split('\n');
  // Fields 4 and 5 are root and mount point; the source follows the dash (proc_pid_mountinfo(5)).
  return lines.map((text) => {
    const [left = '', right = ''] = text.split(' - ');
    const fields = left.split(' ');
    return `${fields[4]} from ${right.split(' ')[1]} ${fields[3]}`;
  });
}

function loops(): string[] {
  const attached = listed('/sys/block').map((name) => ({
    name,
    file: read(`/sys/block/${name}/loop/backing_file`).trim(),
  }));
  return attached.filter(({ file }) => file !== '').map(({ name, file }) => `${name} ${file}`);
}

function namedNamespaces(): string[] {
  return listed('/run/netns').map((name) => `named ${name}`);
}

// A namespace that no process of ours, nor a name, holds any more is gone: the kernel counts.
function networkNamespaces(pids: readonly string[]): string[] {
  return pids.flatMap((pid) => link(`/proc/${pid}/ns/net`));
}

function ours(pid: string, mark: string | undefined): string[] {
  if (Number(pid) === process.pid) return [];
  const command = read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim();
  if (command === '') return [];
  const marked = mark !== undefined && read(`/proc/${pid}/environ`).includes(`${RUN_MARK}=${mark}`);
  const named = /(^|[\s/])bulkheadd?(-[\w-]+)?([\s/.]|$)/.test(command) && /\/(run|var\/lib)\/bulkhead/.test(command);
  const confined = read(`/proc/${pid}/cgroup`).includes('bulkhead');
  return marked || named || confined ? [`${pid} ${command.slice(0, 160)}`] : [];
}

// What went away while it was looked at is not there.
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function link(path: string): string[] {
  try {
    return [readlinkSync(path)];
  } catch {
    return [];
  }
}

function listed(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

if (import.meta.main) {
  for (const [kind, things] of Object.entries(snapshot()))
    for (const thing of [...things].sort()) console.log(`${kind} ${thing}`);
}
