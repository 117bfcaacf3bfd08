import { randomUUID } from 'node:crypto';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AppError } from '../contract/errors.ts';
import type { Id } from '../core/ids.ts';
import { OLD_CONTENTS_MOST, TRASH_MOST } from '../core/retention.ts';
import { AGENT, DEPLOY, makeDaemon, SOMEBODY } from '../../test/builders/daemon.ts';

const quota = (error: unknown): boolean => error instanceof AppError && error.code === 'quota';

test('who has filled the trash makes no more forks, until it is emptied', async () => {
  const daemon = await makeDaemon();
  try {
    const { trash } = daemon.parts.store;
    await daemon.stream('app.create', { name: 'shop' }, { as: DEPLOY }).done;
    await daemon.ask('fork.create', { ref: 'shop:a' }, { as: AGENT });
    const id = daemon.id('shop:a');
    const fill = (count: number): void => {
      for (let at = trash.count({ volume: id }); at < count; at += 1) trash.content(id, randomUUID() as Id, 0);
    };
    fill(OLD_CONTENTS_MOST - 1);
    await daemon.ask('fork.reset', { ref: 'shop:a' }, { as: AGENT });
    await assert.rejects(daemon.ask('fork.reset', { ref: 'shop:a' }, { as: AGENT }), quota);
    await daemon.ask('fork.create', { ref: 'shop:b' }, { as: AGENT });
    fill(TRASH_MOST);
    // Under another agent's name it is the same user.
    for (const as of [AGENT, { ...AGENT, agent: 'other' }])
      await assert.rejects(daemon.ask('fork.create', { ref: 'shop:c' }, { as }), quota);
    await daemon.ask('volume.remove', { ref: 'shop:b' }, { as: AGENT });
    await daemon.ask('trash.restore', { name: 'shop:b' }, { as: AGENT });
    await daemon.ask('fork.create', { ref: 'shop:d' }, { as: SOMEBODY });
    await daemon.ask('fork.reset', { ref: 'shop:a' }, { as: DEPLOY });
  } finally {
    await daemon.remove();
  }
});
