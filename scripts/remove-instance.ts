// Takes one instance down and deletes its state: for tests, the demo, and uninstalling.
// Its daemon must have ended. Asks nothing: the name is given by who made the instance.
import { readdir, rm } from 'node:fs/promises';
import { parseId } from '../src/core/ids.ts';
import { createBtrfsVolumes } from '../src/host/btrfs/volumes.ts';
import { createRuncCells } from '../src/host/cells/cells.ts';
import { createCgroups } from '../src/host/cells/cgroups.ts';
import { createNetworks } from '../src/host/network/networks.ts';
import { pathsOf } from '../src/host/paths.ts';
import { releaseRegion } from '../src/daemon/slots.ts';
import { fileURLToPath } from 'node:url';

/** Ends every cell of an instance, unmounts its pool, and removes its files. */
export async function removeInstance(name: string): Promise<void> {
  const paths = pathsOf(name);
  if (name === '') throw new Error('the machine itself is not an instance to remove');
  const networks = createNetworks({ paths });
  const bundle = fileURLToPath(new URL('../dist', import.meta.url));
  const cells = createRuncCells({ paths, networks, program: { node: process.execPath, bundle } });
  // A daemon that was killed in the middle of a start leaves a cell that is not up: its directory tells.
  const left = (await readdir(`${paths.run}/cells`).catch(() => [])).flatMap((entry) => parseId(entry) ?? []);
  for (const id of new Set([...(await cells.list()).map((cell) => cell.id), ...left])) await cells.stop(id);
  await networks.teardown();
  await createCgroups().remove(paths.cgroup);
  await createBtrfsVolumes({ paths }).close();
  await rm(paths.state, { recursive: true, force: true });
  await rm(paths.run, { recursive: true, force: true });
  await releaseRegion(paths.run);
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  for (const name of process.argv.slice(2)) await removeInstance(name);
