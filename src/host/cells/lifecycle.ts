import { chmodSync, existsSync, mkdirSync, readdirSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { AppError } from '../../contract/errors.ts';
import { parseId, type Id } from '../../core/ids.ts';
import type { CellSpec, CellTimes, RunningCell } from '../cells.ts';
import type { Networks } from '../networks.ts';
import type { Paths } from '../paths.ts';
import { checkPaths } from './accepted-paths.ts';
import { bundleConfig } from './bundle.ts';
import type { Cgroups } from './cgroups.ts';
import { isMounted, mountIdmapped, prepareRoot, unmount, unmountAndRemove } from './mounts.ts';
import type { Places } from './places.ts';
import { readRecord, writeRecord, type CellRecord } from './record.ts';
import { writeRootfs } from './rootfs.ts';
import { runtime, runtimeLog } from './runtime.ts';
import { forkProcesses, limitNamespace, makerLimits } from './shared-limits.ts';
import { endStrays, endSupervisors } from './strays.ts';

/** What starting and stopping need. */
export interface LifecycleDeps {
  paths: Paths;
  places: Places;
  cgroups: Cgroups;
  networks: Networks;
  program: { node: string; bundle: string };
}

/** Host ids of cells begin here; a cell's place among them also numbers its address. */
export const FIRST_ID = 0x70000000;

/** A cell's number, from its id range. */
export const slotOf = (idBase: number): number => (idBase - FIRST_ID) >>> 16;

/** Of each other's time on the processors when both want all of it: production has twenty times as much. */
const PRODUCTION_WEIGHT = 1000;
const FORK_WEIGHT = 50;

const KILL_WAIT = 10_000;

/** Starts and stops cells: everything but their sessions. Calls for one cell must not overlap. */
export function createLifecycle(deps: LifecycleDeps) {
  const { places, cgroups, networks, paths } = deps;
  const parentOf = (role: CellSpec['role']): string =>
    path.join(paths.cgroup, role === 'production' ? 'production' : 'forks');
  const runc = (id: Id, args: readonly string[], before: readonly string[] = []) =>
    runtime(places.runtime, runtimeLog(places.cell(id)), [...args, id], before);

  // Applied again at each start: the group of all forks goes with the last of them.
  let forksCeiling: { memory?: number; cpus?: number; pids?: number } = {};
  const limitParent = (role: CellSpec['role']): void =>
    cgroups.limit(
      parentOf(role),
      role === 'production' ? { weight: PRODUCTION_WEIGHT } : { weight: FORK_WEIGHT, ...forksCeiling },
    );
  /** In v1 a group may not be given more of the processors than the one above it. */
  const withinCeiling = (spec: CellSpec): CellSpec['limits'] =>
    spec.role === 'production'
      ? spec.limits
      : { ...spec.limits, cpus: Math.min(spec.limits.cpus, forksCeiling.cpus ?? spec.limits.cpus) };

  const isUp = (record: CellRecord | undefined): record is CellRecord =>
    record?.state === 'up' && cgroups.processes(record.cgroup).includes(record.pid);

  const start = async (spec: CellSpec): Promise<CellTimes> => {
    const began = performance.now();
    if (isUp(await readRecord(places, spec.id))) return { walls: 0, network: 0 };
    await stop(spec.id);
    try {
      return await make(spec, began);
    } catch (error) {
      await stop(spec.id).catch(() => {});
      throw error;
    }
  };

  const make = async (spec: CellSpec, began: number): Promise<CellTimes> => {
    const sources = await checkPaths(spec, paths);
    const bundle = places.cell(spec.id);
    const record: CellRecord = {
      id: spec.id,
      state: 'making',
      role: spec.role,
      idBase: spec.idBase,
      pid: 0,
      cgroup: path.join(parentOf(spec.role), spec.id),
      environment: spec.environment,
      paths: spec.paths,
    };
    // In one go, without an await: so the end of the last other cell cannot take the root away in between.
    prepareRoot(places);
    mkdirSync(bundle);
    chmodSync(bundle, 0o711);
    await writeRecord(places, record);
    await Promise.all([mountIdmapped(spec.source, places.mount(spec.id), spec.idBase), writeBundle(spec, sources)]);
    const create = ['create', '--bundle', bundle, '--pid-file', path.join(bundle, 'pid')];
    await runc(spec.id, create, await makerLimits(spec.role));
    const pid = Number(await readFile(path.join(bundle, 'pid'), 'utf8'));
    const network = await connect(spec, pid);
    await writeRecord(places, { ...record, state: 'up', pid });
    return { walls: performance.now() - began - network, network };
  };

  const writeBundle = async (spec: CellSpec, sources: ReadonlyMap<string, string>): Promise<void> => {
    const { program } = deps;
    const bundle = places.cell(spec.id);
    limitParent(spec.role);
    const { resolver } = networks;
    const resolvers = spec.network.kind === 'none' ? [resolver.fork] : resolver.production;
    mkdirSync(places.sessions(spec.id), { mode: 0o700 });
    await writeRootfs({ spec, bundle, resolvers, cli: 'bulkhead.cjs' });
    const config = bundleConfig({
      spec: { ...spec, limits: withinCeiling(spec) },
      bundle,
      sources,
      app: places.mount(spec.id),
      cgroup: path.join(parentOf(spec.role), spec.id),
      node: program.node,
      programs: program.bundle,
      swap: cgroups.swap,
    });
    await writeFile(path.join(bundle, 'config.json'), JSON.stringify(config), { mode: 0o600 });
  };

  /** What can only be done once the namespaces stand, and then its first instruction; milliseconds that the network took. */
  const connect = async (spec: CellSpec, pid: number): Promise<number> => {
    let network = 0;
    const attach = async (): Promise<void> => {
      const began = performance.now();
      await networks.attach(spec.id, pid, slotOf(spec.idBase), spec.network);
      network = performance.now() - began;
    };
    // pasta enters the namespaces of a process that may be traced, which runc's own is not: its turn is after the start.
    const early = spec.network.kind === 'none';
    // The cell holds a mount of its own by now: the machine's table need not show one.
    await Promise.all([
      early ? attach() : undefined,
      limitNamespace(pid, spec.role),
      unmountAndRemove(places.mount(spec.id)),
    ]);
    await runc(spec.id, ['start']);
    if (!early) await attach();
    return network;
  };

  const stop = async (id: Id): Promise<void> => {
    const record = await readRecord(places, id);
    const groups = [path.join(parentOf('production'), id), path.join(parentOf('fork'), id)];
    if (record !== undefined && record.state !== 'up') await endStrays(places.runtime, id);
    for (const group of groups) cgroups.kill(group);
    await Promise.all(groups.map((group) => emptied(cgroups, group)));
    if (record !== undefined) await networks.detach(id, slotOf(record.idBase));
    await endSupervisors(places.sessions(id));
    await rm(path.join(places.runtime, id), { recursive: true, force: true });
    await Promise.all(groups.map((group) => cgroups.remove(group)));
    await unmountAndRemove(places.mount(id));
    // Nothing of a cell's is mounted below it in this namespace: the one mount that was has its own directory.
    await rm(places.cell(id), { recursive: true, force: true });
    tidy(deps);
  };

  const list = async (): Promise<RunningCell[]> => {
    const ids = (['production', 'fork'] as const).flatMap((role) => cgroups.children(parentOf(role)));
    const records = await Promise.all(
      ids
        .map((name) => parseId(name))
        .filter((id) => id !== undefined)
        .map((id) => readRecord(places, id)),
    );
    return records
      .filter(isUp)
      .map(({ id, idBase, pid, cgroup }) => ({ id, idBase, pid, frozen: cgroups.frozen(cgroup) }));
  };

  /** The record of a cell that is up. Throws `wrong-state`. */
  const running = async (id: Id): Promise<CellRecord> => {
    const record = await readRecord(places, id);
    if (!isUp(record)) throw new AppError('wrong-state', 'The cell is not running', { next: ['bulkhead up'] });
    return record;
  };

  /** The group of a cell, whether it is up or half-made; undefined when there is none. */
  const groupOf = (id: Id): string | undefined =>
    (['production', 'fork'] as const)
      .map((role) => path.join(parentOf(role), id))
      .find((group) => cgroups.exists(group));

  const ceiling = async (limits: { memory?: number; cpus?: number }): Promise<void> => {
    forksCeiling = { ...limits, pids: await forkProcesses() };
    limitParent('fork');
  };

  return { start, stop, list, running, groupOf, ceiling, tidy: () => tidy(deps) };
}

/** Takes away what all cells share, when there are none. In one go, as no cell may begin meanwhile. */
function tidy({ places, cgroups, paths }: LifecycleDeps): void {
  const left = existsSync(places.root) ? readdirSync(places.root) : [];
  if (left.some((name) => !name.startsWith('.'))) return;
  if (existsSync(places.root) && isMounted(places.root)) unmount(places.root);
  for (const group of [path.join(paths.cgroup, 'production'), path.join(paths.cgroup, 'forks'), paths.cgroup])
    cgroups.removeIfEmpty(group);
}

/** Resolves when nothing lives in a group. Throws `timeout`. */
export function emptied(cgroups: Cgroups, group: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      cancel();
      reject(new AppError('timeout', `Processes of "${group}" did not end within ${KILL_WAIT} ms`));
    }, KILL_WAIT);
    const cancel = cgroups.whenEmpty(group, () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
