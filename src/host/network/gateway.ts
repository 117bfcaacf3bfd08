import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { exec } from '../exec.ts';

/** The gateway's address, which every fork asks for names and sends everything to. */
export const GATEWAY = '169.254.77.1';

/**
 * The namespace that forks' networks end in. It has no way on: every packet that a
 * fork sends is local there (a `local default` route for all that does not come from
 * its own loopback), nothing listens, and so everything is refused at once, by the
 * rules or, where they were flushed, by the kernel itself.
 */
export interface GatewayNamespace {
  /** Makes it where it is missing or half-made. */
  prepare(): Promise<void>;
  /** Runs `ip -batch` in it. */
  ip(lines: readonly string[]): Promise<void>;
  remove(): Promise<void>;
}

/** A new namespace inherits the machine's settings (ip_forward=1 beside Docker): each is said. */
const SETTINGS = `set -e
cd /proc/sys/net/ipv4
echo 0 > ip_forward
for each in all default; do
  echo 0 > conf/$each/forwarding; echo 1 > conf/$each/rp_filter; echo 1 > conf/$each/arp_filter
  echo 0 > conf/$each/accept_redirects; echo 0 > conf/$each/send_redirects; echo 0 > conf/$each/accept_source_route
done
if [ -d /proc/sys/net/ipv6 ]; then
  for each in all default; do echo 1 > /proc/sys/net/ipv6/conf/$each/disable_ipv6; done
fi`;

const ADDRESSES = [
  'link set lo up',
  `addr add ${GATEWAY}/32 dev lo`,
  'rule add pref 10 not iif lo lookup 100',
  'route add local default dev lo table 100',
];

const RULES = `table inet bulkhead {
  chain input {
    type filter hook input priority filter; policy drop;
    iif lo accept
    meta l4proto tcp reject with tcp reset
    reject with icmpx admin-prohibited
  }
  chain forward {
    type filter hook forward priority filter; policy drop;
  }
}
`;

export function createGatewayNamespace(run: string): GatewayNamespace {
  const directory = path.join(run, 'network');
  const file = path.join(directory, 'gateway.netns');
  const ready = path.join(directory, 'gateway.ready');
  const inside = (program: string, args: readonly string[], input = ''): Promise<unknown> =>
    exec('nsenter', [`--net=${file}`, '--', program, ...args], { input });

  const pinned = async (): Promise<boolean> =>
    (await readFile('/proc/self/mountinfo', 'utf8')).split('\n').some((line) => line.split(' ')[4] === file);

  async function remove(): Promise<void> {
    await rm(ready, { force: true });
    if (await pinned()) await exec('umount', ['--lazy', file]);
    await rm(file, { force: true });
  }

  return {
    remove,
    ip: async (lines) => void (await inside('ip', ['-batch', '-'], `${lines.join('\n')}\n`)),
    async prepare() {
      const whole = await readFile(ready, 'utf8').then(() => true, () => false);
      if (whole && (await pinned())) return;
      await remove();
      await mkdir(directory, { recursive: true, mode: 0o700 });
      await writeFile(file, '', { mode: 0o600 });
      await exec('unshare', [`--net=${file}`, '--', 'true']);
      await inside('sh', ['-c', SETTINGS]);
      await inside('ip', ['-batch', '-'], `${ADDRESSES.join('\n')}\n`);
      await inside('nft', ['-f', '-'], RULES);
      await writeFile(ready, '', { mode: 0o600 });
    },
  };
}
