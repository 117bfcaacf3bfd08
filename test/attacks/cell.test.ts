import assert from 'node:assert/strict';
import { readFile, readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { attack, type Outcome } from './attack.ts';
import { doorOf, weaken, type Enter, type Position, type WeakCell } from './door.ts';
import { handleOf } from './handle.ts';
import { makeStage, SECRET, type Stage } from './stage.ts';

/**
 * Root of a fork's cell, with every capability of its user namespace, against the machine under
 * it; and the same as the cell's own user. The weak cell is the fork's own, run as the machine's root
 * without a filter.
 */
const PROBE = ['frame', 'cell'].map((name) => new URL(`probes/${name}.py`, import.meta.url));

let stage: Stage;
let weak: WeakCell;
let given: Record<string, unknown>;
const results = { weak: {} as Outcomes, root: {} as Outcomes, agent: {} as Outcomes };
type Outcomes = Record<string, Outcome>;

async function probe(enter: Enter, as: Position): Promise<Outcomes> {
  const source = (await Promise.all(PROBE.map((file) => readFile(file, 'utf8')))).join('\n');
  const ran = await enter(['/usr/bin/python3', '-', JSON.stringify(given)], as, source);
  assert.equal(ran.code, 0, `${ran.stdout}${ran.stderr}`);
  return JSON.parse(ran.stdout) as Outcomes;
}

/** The pool's loop device: name, and numbers. */
async function device(pool: string): Promise<{ loop: string; device: number[]; fsid: string }> {
  const line =
    (await readFile('/proc/self/mountinfo', 'utf8')).split('\n').find((one) => one.split(' ')[4] === pool) ?? '';
  const loop = path.basename(line.split(' - ')[1]?.split(' ')[1] ?? '');
  const numbers: number[] = (await readFile(`/sys/block/${loop}/dev`, 'utf8')).trim().split(':').map(Number);
  for (const fsid of await readdir('/sys/fs/btrfs'))
    if ((await readdir(`/sys/fs/btrfs/${fsid}/devices`).catch((): string[] => [])).includes(loop))
      return { loop, device: numbers, fsid };
  throw new Error(`no filesystem on ${loop}`);
}

before(async () => {
  stage = await makeStage({ forks: ['fix'] });
  const { machine } = stage;
  assert.equal((await stage.agent('exec', 'shop:fix', '--', 'true')).code, 0, machine.log());
  const cell = await stage.id('shop:fix');
  given = {
    ...(await device(machine.paths.pool)),
    handle: await handleOf(path.join(await stage.volume('shop'), 'secret.txt')),
    secret: SECRET,
    landmarks: [machine.paths.database, machine.paths.poolFile, machine.paths.socket],
    outside: [machine.daemon.pid, process.pid],
  };
  weak = await weaken(machine, cell, await stage.volume('shop:fix'), { ids: true, seccomp: 'none', network: true });
  results.weak = await probe(weak.enter, 'root');
  results.root = await probe(doorOf(machine, cell), 'root');
  results.agent = await probe(doorOf(machine, cell), 'agent');
});
after(async () => {
  await weak?.remove();
  await stage?.remove();
});

const names = [...(await readFile(PROBE[1] as URL, 'utf8')).matchAll(/@attempt\ndef (\w+)/g)].map((match) =>
  (match[1] ?? '').replaceAll('_', ' '),
);
for (const name of names)
  attack({
    name: `root of a cell: ${name}`,
    without: 'the walls',
    weakened: () => results.weak[name] ?? 'it was not tried',
    walled: () => (results.agent[name] === 'reached' ? 'reached' : (results.root[name] ?? 'reached')),
  });

test('the machine and production are what they were', async () => {
  const { secret, missed } = await stage.production();
  assert.deepEqual({ secret, missed }, { secret: SECRET, missed: false });
  await stat('/usr/bin/env');
});
