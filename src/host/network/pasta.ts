import { mkdir, open, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { AppError } from '../../contract/errors.ts';
import type { Id } from '../../core/ids.ts';
import type { CellNetwork } from '../cells.ts';
import { createCgroups } from '../cells/cgroups.ts';
import { program, start } from '../exec.ts';
import type { Paths } from '../paths.ts';
import { fence } from './fence.ts';

/** Where a production cell asks for names; pasta passes it on to the machine's own server. */
export const PRODUCTION_RESOLVER = '169.254.77.53';

/** Milliseconds for pasta to have set the interface up. */
const READY = 5000;

/** The fence's cgroup holds the process before pasta's first instruction; arguments stay arguments. */
const LAUNCH = 'echo $$ > "$1" && shift && exec "$@"';

/** Production's way out and in: one pasta(1) for each cell, in a fenced cgroup of its own. */
export interface Pastas {
  attach(cell: Id, pid: number, network: Extract<CellNetwork, { kind: 'out' }>): Promise<void>;
  alive(cell: Id): boolean;
  detach(cell: Id): Promise<void>;
  detachAll(): Promise<void>;
}

export function createPastas(paths: Paths): Pastas {
  const cgroups = createCgroups();
  const all = path.join(paths.cgroup, 'pasta');
  const group = (cell: Id): string => path.join(all, cell);
  const logFile = (cell: Id): string => path.join(paths.run, 'network', `pasta-${cell}.log`);

  async function detach(cell: Id): Promise<void> {
    cgroups.kill(group(cell));
    for (let waited = 0; cgroups.populated(group(cell)) && waited < 2000; waited += 5) await delay(5);
    await cgroups.remove(group(cell));
    await rm(logFile(cell), { force: true });
  }

  return {
    detach,
    alive: (cell) => cgroups.processes(group(cell)).length > 0,
    async detachAll() {
      for (const name of cgroups.children(all)) await detach(name as Id);
      await cgroups.remove(all);
    },
    async attach(cell, pid, network) {
      await detach(cell);
      cgroups.make(group(cell));
      const directory = cgroups.directory(group(cell));
      fence(directory, await loopbackResolvers());
      await mkdir(path.dirname(logFile(cell)), { recursive: true, mode: 0o700 });
      const log = await open(logFile(cell), 'w', 0o600);
      const pasta = await program('pasta');
      const child = await start('sh', ['-c', LAUNCH, 'sh', path.join(directory, 'cgroup.procs'), pasta, ...argumentsFor(pid, network)], {
        stdio: ['ignore', log.fd, log.fd],
        detached: true,
      });
      await log.close();
      child.unref();
      let ended = false;
      child.once('exit', () => (ended = true));
      for (const end = performance.now() + READY; !(await hasDefaultRoute(pid)); await delay(3)) {
        if (!ended && performance.now() < end) continue;
        const said = (await readFile(logFile(cell), 'utf8').catch(() => '')).trim().slice(-400);
        await detach(cell);
        throw failure(network, said, ended);
      }
    },
  };
}

/**
 * The defaults of -T, -U and the gateway's mapping would open the machine's loopback.
 * --runas 0: uid 0 owns the cell's user namespace. -f: no pid file, which pasta's
 * AppArmor profile allows in few places.
 */
function argumentsFor(pid: number, network: Extract<CellNetwork, { kind: 'out' }>): string[] {
  const ports = network.ports.map(({ host, cell, address }) => `${address === undefined ? '' : `${address}/`}${host}:${cell}`);
  const listen = ports.length === 0 ? ['-t', 'none', '-u', 'none'] : ports.flatMap((port) => ['-t', port, '-u', port]);
  return [
    '-f', '-q', '--config-net', ...listen, '-T', 'none', '-U', 'none', '--no-map-gw', '--dns-forward', PRODUCTION_RESOLVER,
    '--runas', '0', String(pid),
  ];
}

/** A default route besides none: pasta has configured the interface (proc_pid_net(5)). */
async function hasDefaultRoute(pid: number): Promise<boolean> {
  const routes = await readFile(`/proc/${pid}/net/route`, 'utf8').catch(() => '');
  return routes.split('\n').slice(1).some((line) => line.split('\t')[1] === '00000000');
}

function failure(network: Extract<CellNetwork, { kind: 'out' }>, said: string, ended: boolean): AppError {
  const ports = network.ports.map((port) => port.host).join(', ');
  if (/in use|bind|listen|port/i.test(said) && ports !== '')
    return new AppError('failed', `Cannot publish the ports ${ports}: one of them is in use on this machine`, { why: said, next: [`ss -ltnp`] });
  return new AppError('failed', `The network of the cell did not come up${ended ? ': pasta ended' : ' in time'}`, { why: said, next: ['bulkhead doctor'] });
}

/** Servers of /etc/resolv.conf that are the machine's own loopback (127.0.0.53 of systemd-resolved). */
async function loopbackResolvers(): Promise<string[]> {
  const text = await readFile('/etc/resolv.conf', 'utf8').catch(() => '');
  return [...text.matchAll(/^\s*nameserver\s+(127\.\d+\.\d+\.\d+)\s*$/gm)].map((match) => match[1] ?? '');
}
