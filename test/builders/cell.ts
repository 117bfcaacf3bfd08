import { randomUUID } from 'node:crypto';
import { chownSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseId, type Id } from '../../src/core/ids.ts';
import type { Cells, CellSpec, RunResult } from '../../src/host/cells.ts';
import { createRuncCells } from '../../src/host/cells/cells.ts';
import { placesOf, type Places } from '../../src/host/cells/places.ts';
import type { Networks } from '../../src/host/networks.ts';
import { pathsOf, type Paths } from '../../src/host/paths.ts';

/** A network that connects nothing: for tests of the other walls. */
export const noNetworks: Networks = {
  prepare: async () => {},
  attach: async () => {},
  healthy: async () => true,
  detach: async () => {},
  teardown: async () => {},
  resolver: { fork: '169.254.77.1', production: ['169.254.77.1'] },
};

const WORKER = new URL('../../src/host/cells/attach-worker.ts', import.meta.url);
const NODE = fileURLToPath(new URL('../../.tools/node', import.meta.url));

/** An instance of its own with one cell's worth of directories. */
export interface CellBench {
  paths: Paths;
  places: Places;
  cells: Cells;
  spec: CellSpec;
  /** Another daemon's view of the same cells. */
  again: () => Cells;
  /** Runs a script in the cell to its end. */
  run: (
    script: string,
    more?: { user?: 'agent' | 'root'; input?: Uint8Array; deadline?: number },
  ) => Promise<RunResult>;
  /** Stops the cell and removes all of the instance. */
  remove: () => Promise<void>;
}

/** Makes the directories and a specification; starts nothing. `name` makes the instance. */
export function makeCell(name: string, more: Partial<CellSpec> = {}): CellBench {
  const paths = pathsOf(`t-${name}`);
  const state = paths.state;
  const make = (directory: string, owner = 0): string => {
    mkdirSync(directory, { recursive: true, mode: 0o755 });
    chownSync(directory, owner, owner);
    return directory;
  };
  const spec: CellSpec = {
    id: randomUUID() as Id,
    role: 'fork',
    name: 'shop-fix',
    source: make(path.join(state, 'app'), 1000),
    // Far from the first ranges, which a daemon of this machine may use.
    idBase: 0x7000_0000 + 0x10000 * (4000 + (process.pid % 1000)),
    limits: { memory: 512 << 20, cpus: 1, pids: 200 },
    network: { kind: 'none' },
    paths: [],
    socketDir: make(path.join(state, 'socket')),
    hooks: { up: '#!/bin/sh\necho up\n' },
    environment: { BULKHEAD_REF: 'shop:fix' },
    ...more,
  };
  mkdirSync(paths.run, { recursive: true, mode: 0o711 });
  const bundle = make(path.join(state, 'dist'));
  writeFileSync(path.join(bundle, 'bulkhead.cjs'), 'console.log("bulkhead in a cell");\n');
  const all: Cells[] = [];
  const again = (): Cells => {
    const cells = createRuncCells({
      paths,
      networks: noNetworks,
      program: { node: NODE, bundle },
      attachWorker: WORKER,
    });
    all.push(cells);
    return cells;
  };
  const cells = again();
  const places = placesOf(paths);
  return {
    paths,
    places,
    cells,
    spec,
    again,
    run: (script, { user = 'agent', input, deadline = 20_000 } = {}) =>
      cells.run(
        { cell: spec.id, id: randomUUID() as Id, command: ['sh', '-c', script], user, stdin: false, log: 0 },
        { deadline, output: 4 << 20, ...(input === undefined ? {} : { input }) },
      ),
    remove: async () => {
      const ids = existsSync(places.root) ? readdirSync(places.root).map(parseId) : [];
      // Those of an earlier run that was killed as well.
      for (const id of ids) if (id !== undefined) await cells.stop(id);
      await cells.stop(spec.id);
      for (const one of all) await one.close();
      for (const directory of [paths.state, paths.run]) rmSync(directory, { recursive: true, force: true });
    },
  };
}
