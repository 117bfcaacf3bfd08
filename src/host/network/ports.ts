import { createSocket } from 'node:dgram';
import { createServer, isIP } from 'node:net';
import { AppError } from '../../contract/errors.ts';

/** A port of the machine, and the cell's port that answers there, for TCP and UDP. */
export interface Port {
  host: number;
  cell: number;
  /** An address of the machine; undefined: all. */
  address?: string;
}

export type Protocol = 'tcp' | 'udp';

/**
 * What is opened on the machine, by protocol. UDP answers leave by one port of the
 * machine for each of the cell's (pasta keeps no more), so a further one gets TCP alone.
 */
function published(ports: readonly Port[]): { protocol: Protocol; port: Port }[] {
  return ports.flatMap((port, index) => {
    const first = ports.findIndex((other) => other.cell === port.cell) === index;
    return first
      ? [
          { protocol: 'tcp', port },
          { protocol: 'udp', port },
        ]
      : [{ protocol: 'tcp', port }];
  });
}

/** What pasta is told about ports. Throws `bad-file` where an address is none. */
export function portArguments(ports: readonly Port[]): string[] {
  if (ports.length === 0) return ['-t', 'none', '-u', 'none'];
  return published(ports).flatMap(({ protocol, port }) => {
    const address = addressOf(port);
    return [protocol === 'tcp' ? '-t' : '-u', `${address === undefined ? '' : `${address}/`}${port.host}:${port.cell}`];
  });
}

/**
 * Throws `exists` for the first port that somebody on the machine listens on. Asked
 * before the start, because pasta 2023-03 leaves a port out that it cannot have and says nothing.
 */
export async function mustBeFree(ports: readonly Port[]): Promise<void> {
  for (const { protocol, port } of published(ports)) {
    const state = await stateOf(protocol, port);
    if (state === 'free') continue;
    if (state === 'taken')
      throw new AppError('exists', `Cannot publish ${nameOf(protocol, port)}: a process of this machine has it`, {
        next: [`ss -Hlnp${protocol === 'tcp' ? 't' : 'u'} 'sport = :${port.host}'`],
      });
    throw new AppError('failed', `Cannot publish ${nameOf(protocol, port)}: this machine has no such address`, {
      next: ['ip -brief address'],
    });
  }
}

/** The first port that nobody listens on: after the start, one that the way out did not get. */
export async function firstFree(ports: readonly Port[]): Promise<string | undefined> {
  for (const { protocol, port } of published(ports))
    if ((await stateOf(protocol, port)) === 'free') return nameOf(protocol, port);
  return undefined;
}

const nameOf = (protocol: Protocol, port: Port): string =>
  `${protocol.toUpperCase()} port ${port.host}${port.address === undefined ? '' : ` of ${port.address}`}`;

type State = 'free' | 'taken' | 'no-address';

/** Found out by binding it for a moment. `::` stands for all addresses of both families, where there is IPv6. */
async function stateOf(protocol: Protocol, port: Port): Promise<State> {
  const address = addressOf(port);
  const bind = protocol === 'tcp' ? bindTcp : bindUdp;
  if (address !== undefined) return stateFrom(await bind(address, port.host));
  const both = await bind('::', port.host);
  return stateFrom(both === 'EAFNOSUPPORT' || both === 'EADDRNOTAVAIL' ? await bind('0.0.0.0', port.host) : both);
}

function stateFrom(code: string | undefined): State {
  if (code === undefined) return 'free';
  if (code === 'EADDRINUSE') return 'taken';
  if (code === 'EADDRNOTAVAIL') return 'no-address';
  throw new AppError('failed', `Cannot find out whether a port is free: ${code}`);
}

function addressOf(port: Port): string | undefined {
  const address = port.address?.replace(/^\[(.*)\]$/, '$1');
  if (address !== undefined && isIP(address) === 0)
    throw new AppError('bad-file', `Cannot publish on "${address.slice(0, 60)}": it is not an IP address`);
  return address;
}

/** The error's code; undefined: it could be bound. */
function bindTcp(host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'failed'));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(undefined)));
  });
}

function bindUdp(host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket(isIP(host) === 6 ? 'udp6' : 'udp4');
    socket.once('error', (error: NodeJS.ErrnoException) => {
      socket.close();
      resolve(error.code ?? 'failed');
    });
    socket.bind({ address: host, port, exclusive: true }, () => socket.close(() => resolve(undefined)));
  });
}
