import { GATEWAY_ADDRESS } from './resolvers.ts';

/**
 * What the gateway's namespace and the links to it are made of, as text for
 * `ip -batch` and `nft -f`. The namespace is this instance's own, so names and
 * addresses clash with no other's.
 */

const conf = (...names: string[]): string[] =>
  names.flatMap((name) => ['all', 'default'].map((which) => `/proc/sys/net/ipv4/conf/${which}/${name}`));

/**
 * Settings of the new namespace, by the value that is written to them. It *inherits* the
 * machine's, so each is said: beside Docker it starts with forwarding on. In this order, as
 * `ip_forward` resets others. IPv6 has none where the kernel has no IPv6.
 */
export const GATEWAY_SYSCTLS = {
  '0': [
    '/proc/sys/net/ipv4/ip_forward',
    ...conf('forwarding', 'arp_ignore', 'proxy_arp', 'accept_local', 'route_localnet'),
    ...conf('accept_redirects', 'send_redirects', 'accept_source_route', 'log_martians'),
    // Refusals are never held back: the kernel's usual limit is six, then one a second (icmp(7)),
    // and a program that asks for a seventh name would wait for its time-out.
    '/proc/sys/net/ipv4/icmp_ratemask',
  ],
  '1': [
    // A fork that writes another's source address is not heard.
    ...conf('rp_filter', 'arp_filter'),
    // Should the rules be gone: no false answer to a ping.
    '/proc/sys/net/ipv4/icmp_echo_ignore_all',
    '/proc/sys/net/ipv6/conf/all/disable_ipv6',
    '/proc/sys/net/ipv6/conf/default/disable_ipv6',
  ],
} as const satisfies Record<'0' | '1', readonly string[]>;

/**
 * Whatever comes in is local, wherever it was sent to; what goes out follows the
 * links' routes. The default stands in table `local` itself, as a refusal is sent from
 * the address that was asked for, and the kernel looks for that one in no other table
 * (__ip_dev_find, net/ipv4/devinet.c): with it in a table of its own nothing came back.
 */
export const GATEWAY_BATCH = `
link set lo up
addr add ${GATEWAY_ADDRESS}/32 dev lo
route add local default dev lo table local
rule add pref 5 iif lo lookup main
rule add pref 10 lookup local
rule del pref 0
`;

/**
 * The rules while no gateway runs, as one transaction. Without them, everything but
 * a ping is refused as well: nothing listens, and the kernel says so.
 */
export const REFUSE_ALL = `
table ip gateway
delete table ip gateway
table ip gateway {
  chain input {
    type filter hook input priority filter; policy accept;
    iif "lo" accept
    meta l4proto tcp reject with tcp reset
    reject with icmp type admin-prohibited
  }
}
`;

/** The gateway's end of a slot's link. */
export const linkName = (slot: number): string => `f${slot}`;

/** The address of a slot's cell: out of 100.64.0.0/10, which the engines in a cell leave alone. */
export const addressOfSlot = (slot: number): string => `100.127.${(slot + 1) >> 8}.${(slot + 1) & 0xff}`;

/** In the gateway's namespace: a pair whose other end is born in the cell's, and never is anywhere else. */
export const linkBatch = (slot: number, pid: number): string => `
link add ${linkName(slot)} up type veth peer name eth0 netns /proc/${pid}/ns/net
route replace ${addressOfSlot(slot)}/32 dev ${linkName(slot)}
`;

/** In the cell's: without an address, IPv6 has no way out of it and fails at once; ::1 works. */
export const cellBatch = (slot: number): string => `
link set lo up
addr add ${addressOfSlot(slot)}/32 dev eth0
link set eth0 addrgenmode none up
route add default via ${GATEWAY_ADDRESS} dev eth0 onlink src ${addressOfSlot(slot)}
`;
