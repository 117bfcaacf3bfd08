import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Caller } from '../../core/caller.ts';
import { AGENT, DEPLOY, SOMEBODY } from '../../../test/builders/daemon.ts';
import { aShop } from '../../../test/builders/daemon-tests.ts';
import { waitFor } from '../../../test/builders/machine.ts';

test('who may not read the data of an app sees what runs in it, without the secrets of its arguments', async (t) => {
  const daemon = await aShop(t);
  const command = ['wait', '--password', 'hunter2'];
  const session = daemon.stream('session.exec', { ref: 'shop', command }, { as: DEPLOY });
  const seenBy = async (as: Caller): Promise<string> => {
    const { processes } = await daemon.ask('cell.processes', { ref: 'shop' }, { as });
    return processes.map((one) => one.command).join('\n');
  };
  await waitFor(async () => (await seenBy(DEPLOY)).includes('wait'));
  assert.match(await seenBy(DEPLOY), /wait --password hunter2/);
  for (const as of [AGENT, SOMEBODY]) assert.match(await seenBy(as), /wait --password \[redacted\]/);
  session.leave();
  await session.done.catch(() => {});
});
