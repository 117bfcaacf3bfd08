import { open } from 'node:fs/promises';
import { AppError } from '../../contract/errors.ts';
import type { Finding } from '../../contract/machine.ts';
import { exec, program } from '../exec.ts';
import { tryFence } from './fence.ts';
import { REFUSE_ALL } from './gateway-rules.ts';

/** What cells' networks need of the machine, each tried for real in namespaces that are gone afterwards. Changes nothing. */
export function checkNetwork(): Promise<Finding[]> {
  return Promise.all([
    check('network: links and rules', 'a fork ends in a namespace of its own, and is refused there', tryGateway),
    check('network: fence', "the kernel keeps production's way out from the machine's loopback", () =>
      Promise.resolve(tryFence()),
    ),
    check('network: tun device', "production's way out can be made", tryTun),
    checkPasta(),
  ]);
}

async function check(name: string, good: string, attempt: () => Promise<void>): Promise<Finding> {
  try {
    await attempt();
    return { level: 'ok', check: name, text: good, why: null, remedy: null };
  } catch (error) {
    const known = error instanceof AppError ? error : new AppError('failed', String(error));
    return { level: 'bad', check: name, text: known.message, why: known.why ?? null, remedy: known.next[0] ?? null };
  }
}

async function tryGateway(): Promise<void> {
  await Promise.all(['ip', 'nft', 'unshare', 'nsenter'].map(program));
  const alone = (command: readonly string[], input = ''): Promise<unknown> =>
    exec('unshare', ['--net', ...command], { input });
  const tried = Promise.all([
    alone(['ip', 'link', 'add', 'f0', 'type', 'veth', 'peer', 'name', 'eth0']),
    alone(['nft', '-f', '-'], REFUSE_ALL),
  ]);
  await tried.catch((error: AppError) => {
    throw new AppError('unsupported', 'The kernel makes no veth links or no nftables rules', {
      why: error.why,
      next: ['modprobe -a veth nf_tables nft_reject_ipv4'],
    });
  });
}

async function tryTun(): Promise<void> {
  const device = await open('/dev/net/tun', 'r+').catch((error: NodeJS.ErrnoException) => {
    throw new AppError('unsupported', 'There is no tun device: production has no way out', {
      why: error.code,
      next: ['modprobe tun'],
    });
  });
  await device.close();
}

/** The day of the first version that lets a server speak first (commit 9178a9e3462d of passt). */
const SPEAKS_FIRST = '20230922';

async function checkPasta(): Promise<Finding> {
  const name = 'network: pasta';
  const found = await check(
    name,
    "pasta is there: production's way out and its ports",
    async () => void (await program('pasta')),
  );
  if (found.level !== 'ok') return found;
  const version = await pastaVersion();
  const day = /20\d{2}_?\d{2}_?\d{2}/.exec(version)?.[0].replaceAll('_', '');
  if (day !== undefined && day >= SPEAKS_FIRST) return { ...found, text: `${found.text} (version ${version})` };
  return {
    level: 'warn',
    check: name,
    text: `pasta is old (version ${version}): on published ports, servers that speak first are not heard`,
    why: 'clients of SMTP, SSH and MySQL wait in vain, except on this machine; HTTP and PostgreSQL are not affected',
    remedy: 'install a passt of October 2023 or later',
  };
}

/** Debian's first packages do not know their own version; dpkg does. */
async function pastaVersion(): Promise<string> {
  const own = await exec('pasta', ['--version']).then(
    (result) => result.stdout,
    () => '',
  );
  if (/20\d{2}_?\d{2}/.test(own)) return own.split('\n', 1)[0]?.replace(/^pasta\s+/, '') ?? 'unknown';
  return exec('dpkg-query', ['--showformat', '${Version}', '--show', 'passt']).then(
    (result) => result.stdout,
    () => 'unknown',
  );
}
