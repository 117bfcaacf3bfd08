import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';

/**
 * Address that cells know the gateway by. Link-local, so it is nobody's; in a cell
 * without a way out it refuses at once, and names fail at once. In a cell with one
 * pasta takes names there and asks the machine's own resolver.
 */
export const GATEWAY_ADDRESS = '169.254.77.1';

/** glibc reads three servers and no more (resolv.conf(5)). */
const MOST_SERVERS = 3;

export interface Resolvers {
  /** Servers for a production cell's resolv.conf. */
  servers: readonly string[];
  /** The machine's loopback resolver that pasta asks for what comes to `GATEWAY_ADDRESS`; undefined: none is needed. */
  forwarded: string | undefined;
}

/** The servers of a resolv.conf, in order. Scoped ones (fe80::1%eth0) mean nothing elsewhere and are left out. */
export function parseResolvConf(text: string): string[] {
  return text.split('\n').flatMap((line) => {
    const [, server] = /^\s*nameserver\s+(\S+)/.exec(line) ?? [];
    return server !== undefined && isIP(server) !== 0 && !server.includes('%') ? [server] : [];
  });
}

/**
 * What a production cell asks. Servers that are not on loopback it reaches itself.
 * Where the machine's first IPv4 server is on loopback (systemd-resolved, dnsmasq), pasta
 * forwards to it; that is UDP only in older versions of pasta, so the servers that
 * stand behind it (`upstream`) follow, for the answers that need TCP.
 */
export function chooseResolvers(configured: readonly string[], upstream: readonly string[]): Resolvers {
  const direct = configured.filter((server) => !isLoopback(server));
  // pasta takes the first IPv4 server of the machine, whatever it is.
  const first = configured.find((server) => isIP(server) === 4);
  if (first === undefined || !isLoopback(first))
    return { servers: direct.slice(0, MOST_SERVERS), forwarded: undefined };
  const behind = [...direct, ...upstream.filter((server) => !isLoopback(server) && !direct.includes(server))];
  return { servers: [GATEWAY_ADDRESS, ...behind].slice(0, MOST_SERVERS), forwarded: first };
}

/** The same, from the machine's files as they are now: DHCP may have changed them. */
export function readResolvers(file = '/etc/resolv.conf', upstream = '/run/systemd/resolve/resolv.conf'): Resolvers {
  return chooseResolvers(parseResolvConf(readText(file)), parseResolvConf(readText(upstream)));
}

function isLoopback(address: string): boolean {
  return isIP(address) === 4 ? /^(127|0)\./.test(address) : /^(::1?|::ffff:(127|0)\..*)$/i.test(address);
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
