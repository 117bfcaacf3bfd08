import { chownSync, chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { readFile, readlink } from 'node:fs/promises';
import path from 'node:path';
import { AppError } from '../../contract/errors.ts';
import type { CellSpec } from '../cells.ts';
import { AGENT, DOCKER_GID } from './process.ts';

/** What the files of a cell are made from. */
export interface RootfsInput {
  spec: CellSpec;
  /** The bundle's directory. */
  bundle: string;
  /** Servers for the cell's resolv.conf. */
  resolvers: readonly string[];
  /** File name of the command-line program in the directory of programs. */
  cli: string;
}

interface Entry {
  path: string;
  mode: number;
  /** The agent's; else root's. */
  agent?: true;
}

/** Mount points, and the directories that the tmpfs of /run and /var start with (the runtime copies them up). */
const DIRECTORIES: readonly Entry[] = [
  ...['', 'proc', 'sys', 'dev', 'usr', 'etc', 'app', 'opt', 'opt/bulkhead', 'home'].map((path) => ({
    path,
    mode: 0o755,
  })),
  { path: 'home/agent', mode: 0o700, agent: true },
  { path: 'root', mode: 0o700 },
  { path: 'tmp', mode: 0o1777 },
  ...['run', 'run/user', 'run/bulkhead', 'run/bulkhead-hooks'].map((path) => ({ path, mode: 0o755 })),
  // The runtime's copying cuts modes by its umask, so what all may write to is the agent's here.
  { path: 'run/lock', mode: 0o755, agent: true },
  { path: `run/user/${AGENT.uid}`, mode: 0o700, agent: true },
  // The socket directory of Debian's PostgreSQL: who has no capability could not make it.
  { path: 'run/postgresql', mode: 0o755, agent: true },
  ...['var', 'var/cache', 'var/lib', 'var/log'].map((path) => ({ path, mode: 0o755 })),
];

/** Debian's merged /usr, and what /var has had since before /run. */
const LINKS = {
  bin: 'usr/bin',
  sbin: 'usr/sbin',
  lib: 'usr/lib',
  lib64: 'usr/lib64',
  'var/run': '/run',
  'var/tmp': '/tmp',
  'var/lock': '/run/lock',
} as const;

/** Small files of the machine's /etc that programs need to work and that say nothing about it. */
const COPIED = ['services', 'protocols', 'mime.types', 'ld.so.cache', 'ssl/openssl.cnf', 'debian_version'] as const;
const COPY_LIMIT = 1 << 20;

const HOOK_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,100}$/;

type Tree = ReturnType<typeof createTree>;

/** Writes below `base` with the owners that the cell shows as root and agent. Nothing below it is a cell's. */
function createTree(base: string, idBase: number) {
  const own = (file: string, mode: number, agent: boolean): void => {
    // chmod as well: the daemon's umask has cut the mode.
    chmodSync(file, mode);
    chownSync(file, idBase + (agent ? AGENT.uid : 0), idBase + (agent ? AGENT.gid : 0));
  };
  return {
    directory: (entry: Entry): void => {
      const made = path.join(base, entry.path);
      mkdirSync(made, { recursive: true });
      own(made, entry.mode, entry.agent ?? false);
    },
    file: (name: string, content: string | Uint8Array, mode = 0o644): void => {
      const made = path.join(base, name);
      writeFileSync(made, content, { flag: 'wx' });
      own(made, mode, false);
    },
    link: (name: string, target: string): void => symlinkSync(target, path.join(base, name)),
  };
}

/**
 * Writes root filesystem, /etc, launcher and hooks of a cell into its bundle,
 * owned by the cell's root. Throws `bad-file` for a hook whose name is none.
 */
export async function writeRootfs(input: RootfsInput): Promise<void> {
  const { spec, bundle } = input;
  const tree = createTree(path.join(bundle, 'rootfs'), spec.idBase);
  for (const entry of DIRECTORIES) tree.directory(entry);
  for (const accepted of spec.paths) tree.directory({ path: accepted, mode: 0o755 });
  for (const [name, target] of Object.entries(LINKS)) tree.link(name, target);
  writeHooks(createTree(path.join(bundle, 'hooks'), spec.idBase), spec.hooks);
  writeLauncher(createTree(path.join(bundle, 'programs'), spec.idBase), input.cli);
  await writeEtc(createTree(path.join(bundle, 'etc'), spec.idBase), input);
}

function writeHooks(tree: Tree, hooks: CellSpec['hooks']): void {
  tree.directory({ path: '', mode: 0o755 });
  for (const [name, content] of Object.entries(hooks)) {
    if (!HOOK_NAME.test(name))
      throw new AppError('bad-file', `Cannot use "${name.slice(0, 40)}" as the name of a hook's file`);
    tree.file(name, content, 0o555);
  }
}

/** `/opt/bulkhead`: `bin/bulkhead` runs the bundled program with the Node that came along. */
function writeLauncher(tree: Tree, cli: string): void {
  for (const directory of ['', 'bin', 'dist']) tree.directory({ path: directory, mode: 0o755 });
  tree.file('node', '');
  tree.file('bin/bulkhead', `#!/bin/sh\nexec /opt/bulkhead/node /opt/bulkhead/dist/${cli} "$@"\n`, 0o555);
}

async function writeEtc(tree: Tree, { spec, resolvers }: RootfsInput): Promise<void> {
  for (const directory of ['', 'alternatives', 'ssl', 'ssl/certs']) tree.directory({ path: directory, mode: 0o755 });
  const { uid, gid, home } = AGENT;
  tree.file(
    'passwd',
    `root:x:0:0:root:/root:/bin/bash\nagent:x:${uid}:${gid}:agent:${home}:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n`,
  );
  tree.file('group', `root:x:0:\ndocker:x:${DOCKER_GID}:agent\nagent:x:${gid}:\nnogroup:x:65534:\n`);
  tree.file('hostname', `${spec.name}\n`);
  tree.file('hosts', `127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n127.0.1.1 ${spec.name}\n`);
  tree.file(
    'resolv.conf',
    `${resolvers.map((server) => `nameserver ${server}\n`).join('')}options timeout:2 attempts:2\n`,
  );
  tree.file('nsswitch.conf', 'passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n');
  tree.link('os-release', '../usr/lib/os-release');
  tree.link('mtab', '../proc/self/mounts');
  const zone = await readlink('/etc/localtime').catch(() => '/usr/share/zoneinfo/Etc/UTC');
  tree.link('localtime', path.resolve('/etc', zone));
  const copies = await Promise.all(COPIED.map(async (name) => ({ name, content: await readSmall(`/etc/${name}`) })));
  for (const { name, content } of copies) if (content !== undefined) tree.file(name, content);
}

async function readSmall(file: string): Promise<Buffer | undefined> {
  const content = await readFile(file).catch(() => undefined);
  return content !== undefined && content.length <= COPY_LIMIT ? content : undefined;
}
