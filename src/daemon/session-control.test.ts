import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSessionControl } from './session-control.ts';

function aSession() {
  const done: string[] = [];
  let go = (): void => {};
  const control = createSessionControl(
    {
      resize: (rows, columns) => void done.push(`${rows}x${columns}`),
      signal: async (name) => void done.push(name),
    },
    () => new Promise<void>((resolve) => (go = resolve)),
  );
  const turn = async (): Promise<void> => {
    go();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { done, control, turn };
}

test('the first is done at once, and of a million more each once', async () => {
  const { done, control, turn } = aSession();
  control({ type: 'signal', signal: 'SIGINT' });
  assert.deepEqual(done, ['SIGINT']);
  for (let count = 0; count < 1000; count += 1) {
    control({ type: 'signal', signal: 'SIGCONT' });
    control({ type: 'signal', signal: 'SIGINT' });
    control({ type: 'resize', rows: count, columns: 80 });
  }
  for (let count = 0; count < 10; count += 1) await turn();
  assert.deepEqual(done, ['SIGINT', '999x80', 'SIGCONT', 'SIGINT']);
  control({ type: 'signal', signal: 'SIGTERM' });
  assert.equal(done.at(-1), 'SIGTERM');
});

test('what is no size becomes one, and what is no signal is passed over', async () => {
  const { done, control, turn } = aSession();
  control({ type: 'resize', rows: Number.NaN, columns: 1e9 });
  await turn();
  control({ type: 'signal', signal: 'SIGSEGV' });
  control({ type: 'signal', signal: '__proto__' });
  await turn();
  assert.deepEqual(done, ['1x4096']);
});
