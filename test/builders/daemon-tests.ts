import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { AppError, type ErrorCode } from '../../src/contract/errors.ts';
import type { AppFile } from '../../src/contract/app-file.ts';
import { NO_FILE } from '../../src/contract/app-file.ts';
import type { Plan } from '../../src/core/steps.ts';
import { CODE, makeDaemon, type DaemonOptions, type TestDaemon } from './daemon.ts';

/** A daemon for the time of one test. */
export async function aDaemon(t: TestContext, options: DaemonOptions = {}): Promise<TestDaemon> {
  const daemon = await makeDaemon(options);
  t.after(() => daemon.remove());
  return daemon;
}

export const HOOKS = { ...NO_FILE, hooks: { up: './up.sh', health: './health.sh', down: './down.sh' } } as AppFile;

/** The same with an app called shop, its file accepted. */
export async function aShop(t: TestContext, options: DaemonOptions & { file?: Partial<AppFile> } = {}) {
  const daemon = await aDaemon(t, options);
  await daemon.ask('app.create', { name: 'shop' });
  await daemon.volumes.put({ area: 'live', id: daemon.id('shop') }, 'data', Buffer.from('rows'));
  await accept(daemon, 'shop', { ...HOOKS, ...options.file });
  return daemon;
}

/** Proposes a file in an app, and accepts it. */
export async function accept(daemon: TestDaemon, ref: string, file: object): Promise<void> {
  daemon.world.proposals.set(daemon.id(ref), { file, hooks: { up: '#!/bin/sh\n' } });
  await daemon.ask('config.accept', { ref }, { code: CODE });
}

/** The plans that are executed from now on. */
export function watchPlans(daemon: TestDaemon): Plan[] {
  const plans: Plan[] = [];
  replace(daemon.parts, 'run', (run) => (plan, ...rest) => {
    plans.push(plan);
    return run(plan, ...rest);
  });
  return plans;
}

/** Puts another function in the place of a part's, made from the one that is there; the result takes it back. */
export function replace<T extends object, K extends keyof T>(
  part: T,
  name: K,
  make: (original: T[K]) => T[K],
): () => void {
  const original = part[name];
  part[name] = make(original);
  return () => void (part[name] = original);
}

/** Fails with that code, in a sentence, and says what would work. */
export async function failsWith(code: ErrorCode, work: Promise<unknown>, message: RegExp = /./): Promise<AppError> {
  const error = await work.then(
    () => assert.fail(`it was done, and not refused with ${code}`),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof AppError, String(error));
  assert.equal(error.code, code, error.message);
  assert.match(error.message, message);
  return error;
}

/** The state that `ls` shows; undefined: it is not there. */
export async function stateOf(daemon: TestDaemon, ref: string): Promise<string | undefined> {
  const { volumes } = await daemon.ask('app.list', {});
  return volumes.find((one) => one.ref === ref)?.state;
}

/** What a file of an app or fork holds; undefined where there is no such file. */
export async function fileIn(daemon: TestDaemon, ref: string, file: string): Promise<string | undefined> {
  const content = await daemon.volumes.get({ area: 'live', id: daemon.id(ref) }, file);
  return content === undefined ? undefined : Buffer.from(content).toString();
}

/** Waits for what comes by itself, a moment at the most. */
export async function soon(look: () => boolean | Promise<boolean>, what = 'it happens'): Promise<void> {
  for (const end = performance.now() + 3000; performance.now() < end;) {
    if (await look()) return;
    // Not a timer: tests turn those by hand.
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.fail(`${what}: not soon`);
}
