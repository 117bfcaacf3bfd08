import type { Finding } from '../contract/machine.ts';
import { escapeText } from '../contract/names.ts';
import { bad, fine, warn } from './checks.ts';

/** What an agent that runs as one user could reach around the walls. */
export interface ReachFacts {
  user: string;
  uid: number;
  /** Whose findings these are: the caller's own, or those of a person who is enrolled. */
  groups: readonly string[];
  /** Commands that sudo runs for the user without a password. */
  sudo: readonly string[];
  /** Engines' sockets that the user may write to, and by what. */
  sockets: readonly { path: string; by: string }[];
  /** Private keys that others than their owner may read. */
  keys: readonly string[];
  /** Agents that run as the user now. */
  agents: readonly { title: string; pid: number }[];
  /** An app to name in a remedy. */
  app: string;
}

/** What membership of a group opens, and the rest of the sentence. */
const GROUPS: Readonly<Record<string, string>> = {
  docker: 'its processes are root on this machine',
  podman: 'its processes can steer the containers of others',
  lxd: 'its processes are root on this machine',
  incus: 'its processes can steer containers on this machine',
  'incus-admin': 'its processes are root on this machine',
  libvirt: 'its processes are root on this machine',
  disk: 'its processes can read and write every disk, the pool included',
  kmem: "its processes can read the kernel's memory",
  shadow: 'its processes can read the hashes of passwords',
};

export function judgeReach(facts: ReachFacts): Finding[] {
  const found = [
    ...(facts.uid === 0 ? [judgeRoot(facts)] : [...judgeGroups(facts), ...judgeSudo(facts), ...judgeSockets(facts)]),
    ...facts.keys.map((key) =>
      warn(
        'keys',
        `the private key ${escapeText(key)} can be read by others`,
        null,
        `sudo chmod 600 ${shellWord(key)}`,
      ),
    ),
    ...judgeAgents(facts),
  ];
  return found.length > 0 ? found : [fine('reach', `nothing found that opens a way around the walls to ${facts.user}`)];
}

function judgeRoot({ app }: ReachFacts): Finding {
  return warn(
    'root',
    'you are root: an agent that you start here is root as well',
    'Against root no wall of ours holds. Let agents work in a cell, or as a user of their own.',
    `bulkhead fork ${app}:work && bulkhead shell ${app}:work`,
  );
}

function judgeGroups({ user, groups }: ReachFacts): Finding[] {
  return groups
    .filter((group) => Object.hasOwn(GROUPS, group))
    .map((group) =>
      bad(
        'group',
        `user ${user} is in group ${group}: ${GROUPS[group]}`,
        `an agent that runs as ${user} can go around every wall here`,
        `sudo gpasswd -d ${user} ${group}    (then log out and in)`,
      ),
    );
}

function judgeSudo({ user, sudo }: ReachFacts): Finding[] {
  if (sudo.length === 0) return [];
  const all = sudo.includes('ALL');
  const shown = sudo.slice(0, 3).map(escapeText).join(', ');
  const text = all
    ? `user ${user} may become root without a password`
    : `user ${user} may run as root without a password: ${shown}`;
  const why = all
    ? `an agent that runs as ${user} can go around every wall here`
    : 'Where one of these can start another program, an agent is root by it.';
  return [(all ? bad : warn)('sudo', text, why, `sudo grep -rn NOPASSWD /etc/sudoers /etc/sudoers.d; sudo visudo`)];
}

function judgeSockets({ user, sockets }: ReachFacts): Finding[] {
  return sockets.map(({ path, by }) =>
    bad(
      'socket',
      `${path} is open to ${by}: its engine runs as root`,
      `an agent that runs as ${user} can go around every wall here`,
      `sudo chmod 660 ${path}; sudo chgrp root ${path}`,
    ),
  );
}

function judgeAgents({ user, agents, app }: ReachFacts): Finding[] {
  const [first] = agents;
  if (first === undefined) return [];
  const more = agents.length > 1 ? ` and ${agents.length - 1} more` : '';
  return [
    warn(
      'agent',
      `weak: ${first.title} (process ${first.pid})${more} runs as ${user}`,
      `What ${user} may do on this machine, it may do. In a cell it has the fork, and nothing else.`,
      `bulkhead fork ${app}:work && bulkhead shell ${app}:work    (and start it there)`,
    ),
  ];
}

/** What holds for every user of the machine. Null: the kernel has no such setting. */
export function judgeKernelReach(facts: {
  ptraceScope: number | null;
  legacyTiocsti: number | null;
  hostKeys: readonly string[];
}): Finding[] {
  const { ptraceScope, legacyTiocsti, hostKeys } = facts;
  return [
    ...(ptraceScope === null
      ? [
          warn(
            'ptrace',
            'the kernel has no Yama: a process of yours can write into your shell',
            'So an agent at your uid can act as you where you have signed in.',
            'sudo adduser --disabled-password agent    (and run agents as that user, or in a cell)',
          ),
        ]
      : []),
    ...(ptraceScope === 0
      ? [
          warn(
            'ptrace',
            'ptrace_scope is 0: a process of yours can write into your shell',
            'So an agent at your uid can act as you where you have signed in.',
            sysctl('kernel.yama.ptrace_scope', 1, 'ptrace'),
          ),
        ]
      : []),
    ...(legacyTiocsti === 1
      ? [
          warn(
            'tiocsti',
            'legacy_tiocsti is 1: a process on your terminal can type into it',
            null,
            sysctl('dev.tty.legacy_tiocsti', 0, 'tiocsti'),
          ),
        ]
      : []),
    ...hostKeys.map((key) =>
      bad('keys', `the key ${key} of this machine can be read by others`, null, `sudo chmod 600 ${shellWord(key)}`),
    ),
  ];
}

const sysctl = (name: string, value: number, file: string): string =>
  `echo ${name}=${value} | sudo tee /etc/sysctl.d/60-${file}.conf; sudo sysctl --system`;

const shellWord = (text: string): string =>
  /^[\w./@+-]+$/.test(text) ? text : `'${escapeText(text).replaceAll("'", `'\\''`)}'`;

/** The commands that `sudo -l -U USER` lists without a password. */
export function passwordless(listing: string): string[] {
  const rules = listing.split('\n').filter((line) => /^\s+\(/.test(line) && line.includes('NOPASSWD:'));
  return [...new Set(rules.flatMap((line) => commandsOf(line)))];
}

/** Tags hold for the commands after them, until the opposite one (sudoers(5)). */
function commandsOf(line: string): string[] {
  let open = false;
  const found: string[] = [];
  for (const part of line.replace(/^\s+\([^)]*\)\s*/, '').split(/,\s*/)) {
    const tags = [...part.matchAll(/\b(NOPASSWD|PASSWD):/g)].map((match) => match[1]);
    if (tags.length > 0) open = tags.at(-1) === 'NOPASSWD';
    const command = part.replace(/\b[A-Z_]+:\s*/g, '').trim();
    if (open && command !== '' && !command.startsWith('!')) found.push(command);
  }
  return found;
}
