import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { waitFor, type Machine } from './machine.ts';

/** One app or fork, as `ls --json` shows it. */
export interface Shown {
  ref: string;
  id: string;
  kind: 'app' | 'fork';
  state: string;
}

export const listOf = async (machine: Machine): Promise<Shown[]> =>
  (await machine.json<{ volumes: Shown[] }>('ls')).volumes;

/**
 * kill -9 of the daemon at one journalled point, `OPERATION:STEP:WHEN`, while `act` goes on; then another daemon.
 * `meanwhile` is done between the two.
 */
export async function killAt(
  machine: Machine,
  point: string,
  act: () => Promise<unknown>,
  meanwhile: () => Promise<void> = async () => {},
): Promise<void> {
  const file = path.join(machine.paths.run, 'kill-at');
  await writeFile(file, point);
  await act();
  await waitFor(
    () => machine.daemon.signalCode !== null,
    10_000,
    () => `${point} is a step of the plan, and was never reached\n${machine.log()}`,
  );
  await rm(file);
  await meanwhile();
  await machine.start();
}

/** Before and after each of so many steps. */
export const pointsOf = (operation: string, steps: number): string[] =>
  Array.from({ length: steps }, (_, step) => [`${operation}:${step}:before`, `${operation}:${step}:after`]).flat();

/**
 * docs/design/invariants.md, after any kill, in the order that it has. `content`: what each that
 * exists must hold, by file; what is shown of it is read past the daemon. Returns what exists.
 */
export async function checkInvariants(
  machine: Machine,
  at: string,
  content: (one: Shown) => Record<string, string>,
): Promise<Shown[]> {
  const say = `after ${at}\n${machine.log()}`;
  const up = async (): Promise<boolean> =>
    (await listOf(machine)).some(({ ref, state }) => ref === 'shop' && state === 'up');
  await waitFor(up, 20_000, () => `production is up again ${say}`);
  const list = await listOf(machine);
  for (const one of list) {
    assert.notEqual(one.state, 'making', `${one.ref} is half-made ${say}`);
    for (const [file, text] of Object.entries(content(one))) {
      const seen = await readFile(path.join(machine.paths.pool, 'live', one.id, file), 'utf8').catch(String);
      assert.equal(seen, text, `${file} of ${one.ref} ${say}`);
    }
  }
  // No data without a record, and no record without data: everything on the pool is known.
  const status = await machine.json<{ recovered: string[] }>('status');
  for (const text of status.recovered)
    assert.doesNotMatch(text, /which no record knows|missing from the pool|could not be/, say);
  const trash = await machine.json<{ items: { id: string }[] }>('trash', 'ls');
  const known = new Set([...list, ...trash.items].map(({ id }) => id));
  for (const area of ['live', 'base'])
    for (const id of readdirSync(path.join(machine.paths.pool, area)))
      assert.ok(known.has(id), `${area} ${id} has a record ${say}`);
  await waitFor(
    () => leftOver(machine, list).length === 0,
    5000,
    () => `${leftOver(machine, list).join(', ')} ${say}`,
  );
  return list;
}

/** Cells, mounts and groups of this machine that belong to nothing that exists. */
function leftOver(machine: Machine, list: readonly Shown[]): string[] {
  const known = new Set(list.map(({ id }) => id));
  const cells = path.join(machine.paths.run, 'cells');
  const places = [
    cells,
    ...['production', 'forks'].map((role) => `/sys/fs/cgroup/unified/${machine.paths.cgroup}/${role}`),
  ];
  const named = places.filter(existsSync).flatMap((place) => readdirSync(place).map((name) => `${place}/${name}`));
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '');
  const of = [...named, ...mounts.filter((place) => place.startsWith(`${cells}/.mounts/`))];
  return of.filter((place) => path.basename(place).length === 36 && !known.has(path.basename(place)));
}
