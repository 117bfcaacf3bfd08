import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { createUsers } from './users.ts';

test('names and numbers of users, kept for a minute', async () => {
  const directory = await mkdtemp('/tmp/bulkhead-users-');
  try {
    const passwd = path.join(directory, 'passwd');
    await writeFile(
      passwd,
      'root:x:0:0::/root:/bin/sh\nodd line\n+::::::\ndeploy:x:61234:1::/:/bin/sh\n7:x:61235:1::/:/bin/sh\n',
    );
    const time = { now: 0 };
    const users = createUsers({ clock: () => time.now, passwd });
    assert.equal(await users.nameOf(61_234), 'deploy');
    assert.equal(await users.uidOf('deploy'), 61_234);
    assert.equal(await users.uidOf('7'), 61_235);
    // A user who is called like a number is not the user of that number.
    assert.equal(await users.nameOf(7_000_007), null);
    assert.equal(await users.uidOf('nobody-of-that-name'), undefined);
    await writeFile(passwd, 'changed:x:61234:1::/:/bin/sh\n');
    assert.equal(await users.nameOf(61_234), 'deploy');
    time.now += 60_001;
    assert.equal(await users.nameOf(61_234), 'changed');
  } finally {
    await rm(directory, { recursive: true });
  }
});
