import { exec } from '../exec.ts';
import { GATEWAY, type GatewayNamespace } from './gateway.ts';

/** A fork's address, by its slot; it exists in its own namespace and the gateway's alone. */
export const addressOf = (slot: number): string => `10.88.${slot >> 8}.${slot & 255}`;

/**
 * Connects a fork: a routed point-to-point veth whose far end lies in the gateway's
 * namespace. No segment is shared, so no fork can pass for another (a bridge with
 * isolated ports let one, measured). All of it is set up from outside.
 */
export async function attachFork(gateway: GatewayNamespace, pid: number, slot: number): Promise<void> {
  const far = `f${slot}`;
  const address = addressOf(slot);
  const make = [`link add ${far} type veth peer name eth0 netns ${pid}`, `link set ${far} up`, `route add ${address}/32 dev ${far}`];
  await gateway.ip(make).catch(async () => {
    // What a killed daemon left under this number; the cell that it belonged to is gone.
    await gateway.ip([`link del ${far}`]).catch(() => {});
    await gateway.ip(make);
  });
  await inCell(pid, [
    'link set lo up',
    // No link-local address: without one IPv6 has no route, and is refused at once.
    'link set eth0 addrgenmode none',
    `addr add ${address}/32 dev eth0`,
    'link set eth0 up',
    `route add ${GATEWAY}/32 dev eth0 scope link`,
    `route add default via ${GATEWAY} src ${address}`,
  ]);
}

/** Runs `ip -batch` in a cell's network namespace, as root of the machine. */
export async function inCell(pid: number, lines: readonly string[]): Promise<void> {
  await exec('nsenter', [`--net=/proc/${pid}/ns/net`, '--', 'ip', '-batch', '-'], { input: `${lines.join('\n')}\n` });
}
