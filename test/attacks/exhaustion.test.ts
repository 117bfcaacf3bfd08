import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { attack, type Outcome } from './attack.ts';
import { doorOf, weaken, type Enter, type WeakCell } from './door.ts';
import { makeStage, type Stage } from './stage.ts';

/**
 * An agent in a session takes what the machine has once for everyone, so that production's programs have none. The kernel
 * counts much of it for root, who made all cells, whatever the id ranges are.
 */
let stage: Stage;
let weak: WeakCell;
let own: Enter;

before(async () => {
  stage = await makeStage({ forks: ['fix'] });
  assert.equal((await stage.agent('exec', 'shop:fix', '--', 'true')).code, 0, stage.machine.log());
  const cell = await stage.id('shop:fix');
  own = doorOf(stage.machine, cell);
  weak = await weaken(stage.machine, cell, await stage.volume('shop:fix'), { limits: true, seccomp: 'none' });
});
after(async () => {
  await weak?.remove();
  await stage?.remove();
});

const hog = await readFile(new URL('probes/hog.py', import.meta.url), 'utf8');
const limits = await readFile('/proc/self/limits', 'utf8');
const limit = (name: string): number => Number(new RegExp(`^${name} +\\d+ +(\\d+)`, 'm').exec(limits)?.[1]);

/** As the daemon would, in a session's own clothes. */
async function takes(enter: Enter, what: string, all: number): Promise<Outcome> {
  const ran = await enter(['/usr/bin/python3', '-c', hog, what, String(all)], 'agent');
  return ran.stdout.trim() || `ended with ${ran.code}: ${ran.stderr}`;
}

/** How much there is, where the probe cannot read it. */
const THINGS: Record<string, number> = {
  terminals: 0,
  watchers: Number(await readFile('/proc/sys/user/max_inotify_instances', 'utf8').catch(() => '128')),
  asynchronous_io: 0,
  pending_signals: limit('Max pending signals'),
  message_queues: limit('Max msgqueue size'),
  processes: 4000,
  memory: 1 << 30,
};
for (const [what, all] of Object.entries(THINGS))
  attack({
    name: `a fork takes most of the machine's ${what.replaceAll('_', ' ')}`,
    without: "a fork's part of it",
    weakened: () => takes(weak.enter, what, all),
    walled: () => takes(own, what, all),
  });

test('all forks together leave half of the process numbers to everyone else', async () => {
  const group = `/sys/fs/cgroup/pids/${stage.machine.paths.cgroup}/forks/pids.max`;
  const most = await readFile(group, 'utf8').catch(() => readFile(group.replace('/pids/', '/'), 'utf8'));
  assert.ok(Number(most) <= Number(await readFile('/proc/sys/kernel/pid_max', 'utf8')) / 2, most);
});

test('production is what it was', async () => {
  assert.equal((await stage.production()).missed, false);
});
