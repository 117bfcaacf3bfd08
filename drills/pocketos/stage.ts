// The demo's own machine: an instance with a daemon, a person without root, and places that all of them may see.

import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { chownSync, existsSync, mkdirSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { stageOf } from './sweeper.ts';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** How to start a program as somebody. */
export interface Who {
  name: string;
  uid: number;
  gid: number;
  /** Words for env(1). */
  environment: readonly string[];
  /** Program and arguments that become that user, and then run what follows. */
  become: readonly string[];
}

export interface Stage {
  instance: string;
  /** Where `bulkhead`, `claude` and the checkout are, for everybody. */
  directory: string;
  who: Who;
  root: Who;
  /** A free port of 127.0.0.1, for production. */
  port: number;
  /** What the daemon wrote to its log. */
  log(): string;
  /** Takes everything down; resolves when nothing is left. */
  end(): Promise<void>;
}

/**
 * The person and the agent share one user, as on a developer's machine, and it is not root: against
 * root there is no wall. Who ran sudo, else nobody. Both see the checkout through a mount of its
 * own, since it may lie where only root may look.
 */
export async function openStage(): Promise<Stage> {
  const instance = `demo-${process.pid}`;
  const directory = stageOf(instance);
  const user = userOf(process.env['SUDO_USER'] ?? 'nobody');
  const sweeper = startSweeper(instance);
  for (const path of [directory, `${directory}/bin`, `${directory}/checkout`, `${directory}/house`])
    mkdirSync(path, { mode: 0o755 });
  chownSync(`${directory}/house`, user.uid, user.gid);
  const checkout = `${directory}/checkout`;
  must('mount', ['--bind', '--make-private', ROOT, checkout]);
  must('mount', ['-o', 'remount,bind,ro', checkout]);
  symlinkSync(`${checkout}/bulkhead`, `${directory}/bin/bulkhead`);
  symlinkSync('/bin/bash', `${directory}/bin/claude`);
  const environment = [
    `BULKHEAD_INSTANCE=${instance}`,
    `PATH=${directory}/bin:/usr/bin:/bin`,
    `HOME=${directory}/house`,
    `USER=${user.name}`,
    'LANG=C.UTF-8',
    'NO_COLOR=1',
  ];
  const become = ['setpriv', `--reuid=${user.uid}`, `--regid=${user.gid}`, '--clear-groups', '--'];
  const base = { ...process.env, BULKHEAD_INSTANCE: instance, NO_COLOR: '1' };
  const daemon = await startDaemon(`${directory}/bin/bulkhead`, base);
  return {
    instance,
    directory,
    who: { ...user, environment, become },
    root: { name: 'root', uid: 0, gid: 0, environment, become: [] },
    port: await freePort(),
    log: () => daemon.log(),
    end: () => sweeper.sweep(),
  };
}

/** The process that takes the stage down, started first: it also does when the demo is killed. */
function startSweeper(instance: string): { sweep(): Promise<void> } {
  const child = spawn(process.execPath, [`${ROOT}drills/pocketos/sweeper.ts`, instance], {
    cwd: '/',
    detached: true,
    stdio: ['pipe', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.on('data', (data: Buffer) => (said += data.toString()));
  const ended = new Promise<number | null>((resolve) => void child.on('close', resolve));
  return {
    async sweep() {
      child.stdin.end();
      const code = await ended;
      if (code !== 0) throw new Error(`Not everything could be taken down:\n${said}`);
    },
  };
}

/** The daemon, ready to answer. Its own process group: an interrupt is for the demo. */
async function startDaemon(bulkhead: string, env: NodeJS.ProcessEnv): Promise<{ child: ChildProcess; log(): string }> {
  const child = spawn(bulkhead, ['daemon'], { cwd: '/', env, detached: true, stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  child.stderr.on('data', (data: Buffer) => (log = (log + data.toString()).slice(-100_000)));
  for (const end = performance.now() + 20_000; !log.includes('bulkheadd answers'); await wait(10))
    if (child.exitCode !== null || performance.now() > end) throw new Error(`The daemon does not start:\n${log}`);
  return { child, log: () => log };
}

function userOf(name: string): { name: string; uid: number; gid: number } {
  const [, , uid, gid] = must('getent', ['passwd', name]).split(':').map(Number);
  if (uid === undefined || gid === undefined) throw new Error(`There is no user "${name}"`);
  if (uid === 0) return userOf('nobody');
  return { name, uid, gid };
}

function must(program: string, words: readonly string[]): string {
  const ran = spawnSync(program, words, { cwd: '/', encoding: 'utf8', timeout: 20_000 });
  if (ran.status !== 0) throw new Error(`"${program} ${words.join(' ')}" failed: ${ran.stderr}`);
  return ran.stdout;
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

/** True where the programs of the demo are. */
export const isSetUp = (): boolean => existsSync(`${ROOT}dist/bulkhead.cjs`) && existsSync(`${ROOT}dist/bulkheadd.cjs`);
