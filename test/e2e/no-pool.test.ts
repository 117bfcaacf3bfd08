import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { rename, rm, truncate, writeFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { listOf } from '../builders/kills.ts';
import { makeMachine, makeTree, run, waitFor, type Machine } from '../builders/machine.ts';

/** A pool that is gone, broken or back again, and a machine on which a program is missing. */
const APP = { 'bulkhead.yaml': 'hooks: { up: ./up.sh }\n', 'up.sh': '#!/bin/sh\nexec sleep 1000\n' };

let machine: Machine;

before(async () => {
  machine = await makeMachine({ size: '300M' });
  const person = await machine.person();
  const tree = await makeTree(APP);
  await person.create('shop', tree);
  const up = await person.bulkhead('up shop');
  assert.equal(up.code, 0, `${up.stdout}${up.stderr}${machine.log()}`);
  assert.equal((await machine.cli('fork', 'shop:fix')).code, 0);
  await person.leave();
  await rm(tree, { recursive: true });
});
after(() => machine?.remove());

/** What needs the pool. */
const CHANGES: readonly [string, ...string[]][] = [
  ['fork', 'shop:x'],
  ['exec', 'shop:fix', '--', 'true'],
  ['rm', 'shop:fix'],
  ['up', 'shop:fix'],
];

interface Told {
  code: string;
  message: string;
  why?: string;
  next: string[];
}

async function errorOf(command: string, ...args: readonly string[]): Promise<Told> {
  const ran = await machine.cli(command, '--json', ...args);
  const { error } = JSON.parse(ran.stdout.trim().split('\n').at(-1) ?? '{}') as { error?: Told };
  assert.ok(error !== undefined, `${command} ${args.join(' ')}: ${ran.stdout}${ran.stderr}`);
  return error;
}

/** The daemon ended, and nothing of the pool is mounted or attached: as after a boot. */
async function unmounted(): Promise<void> {
  await machine.stop();
  await machine.endCells();
  await run('umount', [machine.paths.pool]);
  const { stdout } = await run('losetup', [
    '--list',
    '--noheadings',
    '--output',
    'NAME',
    '--associated',
    machine.paths.poolFile,
  ]);
  for (const device of stdout.trim().split('\n').filter(Boolean)) await run('losetup', ['--detach', device]);
}

async function isRefused(problem: RegExp): Promise<void> {
  const status = await machine.json<{ pool: object | null; poolNote: string | null }>('status');
  assert.equal(status.pool, null);
  assert.match(status.poolNote ?? '', problem);
  for (const [command, ...args] of CHANGES) {
    const error = await errorOf(command, ...args);
    assert.equal(error.code, 'no-pool', `${command} ${args.join(' ')}: ${JSON.stringify(error)}`);
    assert.ok(error.next.length > 0);
  }
  const shown = await machine.cli('ls');
  assert.equal(shown.code, 0, `${shown.stderr}${machine.log()}`);
  assert.match((await machine.cli('doctor')).stdout, /pool/);
}

/** All of it again, production included. */
async function isBack(): Promise<void> {
  const find = async () => (await listOf(machine)).find(({ ref }) => ref === 'shop')?.state;
  await waitFor(
    async () => (await find()) === 'up',
    15_000,
    () => machine.log(),
  );
  assert.equal((await machine.cli('exec', 'shop:fix', '--', 'test', '-s', '/app/up.sh')).code, 0);
}

test('without its file the daemon answers, says so, and takes it when it is back', async () => {
  await unmounted();
  const away = `${machine.paths.poolFile}.away`;
  await rename(machine.paths.poolFile, away);
  await machine.start();
  await isRefused(/not there/);
  await rename(away, machine.paths.poolFile);
  machine.daemon.kill('SIGHUP');
  await isBack();
});

test('a pool that cannot be mounted is named with the reason, and is never made anew', async () => {
  await unmounted();
  const away = `${machine.paths.poolFile}.away`;
  await rename(machine.paths.poolFile, away);
  await writeFile(machine.paths.poolFile, '');
  await truncate(machine.paths.poolFile, 300 << 20);
  await machine.start();
  await isRefused(/mount/);
  const init = await machine.cli('init', '--size', '300M', '--json');
  assert.notEqual(init.code, 0);
  await machine.stop();
  await run('losetup', ['--detach-all', '--associated', machine.paths.poolFile]);
  await unmounted();
  await rename(away, machine.paths.poolFile);
  await machine.start();
  await isBack();
});

test('a second daemon of an instance is refused, and the first goes on', async () => {
  const second = await machine.cli('daemon');
  assert.equal(second.code, 1);
  assert.match(second.stderr, /Another daemon of this instance is running/);
  await isBack();
});

test('an app whose content is missing is named, and the rest goes on', async () => {
  const { id = '' } = (await listOf(machine)).find(({ ref }) => ref === 'shop:fix') ?? {};
  assert.equal((await machine.cli('down', 'shop:fix')).code, 0);
  await machine.stop();
  await run('btrfs', ['subvolume', 'delete', `${machine.paths.pool}/live/${id}`]);
  await machine.start();
  const status = await machine.json<{ recovered: string[] }>('status');
  assert.ok(
    status.recovered.some((said) => /content of shop:fix is missing/.test(said)),
    status.recovered.join(),
  );
  const error = await errorOf('exec', 'shop:fix', '--', 'true');
  assert.equal(error.code, 'not-found');
  assert.match(error.message, /content of shop:fix/);
  assert.doesNotMatch(JSON.stringify(error), /var\/lib/);
  assert.equal((await machine.cli('reset', 'shop:fix')).code, 0, machine.log());
  assert.equal((await machine.cli('exec', 'shop:fix', '--', 'true')).code, 0);
});

test('a program that is missing is named, with its package, and nothing is left behind', async () => {
  const poor = await makeMachine({ bare: true, without: ['/usr/sbin/mkfs.btrfs', '/usr/bin/mkfs.btrfs'] });
  try {
    const ran = await poor.cli('init', '--size', '300M', '--person', 'root', '--json');
    assert.equal(ran.code, 1, ran.stdout);
    assert.match(ran.stdout, /"missing-tool"/);
    assert.match(ran.stdout, /apt-get install btrfs-progs/);
    assert.ok(!existsSync(poor.paths.poolFile) && !existsSync(`${poor.paths.poolFile}.making`));
    assert.match((await poor.cli('doctor')).stdout, /mkfs\.btrfs/);
  } finally {
    await poor.remove();
  }
});
