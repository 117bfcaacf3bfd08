import assert from 'node:assert/strict';
import { chmod, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, test } from 'node:test';
import { memoryDirectory } from '../../test/builders/memory-directory.ts';
import { openSecrets } from './secrets.ts';

const made: string[] = [];
after(() => Promise.all(made.map((directory) => rm(directory, { recursive: true }))));

function fresh(): string {
  const directory = memoryDirectory('secrets');
  made.push(directory);
  return directory;
}

test('keys are made once, differ, and are readable by their owner alone', async () => {
  const directory = fresh();
  const first = await openSecrets(directory);
  assert.equal(first.auditKey.length, 32);
  assert.notDeepEqual(first.auditKey, first.manifestKey);
  assert.deepEqual(await openSecrets(directory), first);
  const file = path.join(directory, 'audit.key');
  assert.equal((await stat(file)).mode & 0o777, 0o600);
  await chmod(file, 0o644);
  await openSecrets(directory);
  assert.equal((await stat(file)).mode & 0o777, 0o600);
});

test('a key that was cut is refused, and left as it is', async () => {
  const directory = fresh();
  const file = path.join(directory, 'audit.key');
  for (const wrong of ['', 'short', 'x'.repeat(33)]) {
    await writeFile(file, wrong);
    await assert.rejects(openSecrets(directory), { code: 'failed' });
    assert.equal(await readFile(file, 'utf8'), wrong);
  }
});

test('what a crash left of making one is no key', async () => {
  const directory = fresh();
  await writeFile(path.join(directory, 'audit.key.new'), 'half');
  assert.equal((await openSecrets(directory)).auditKey.length, 32);
});

test('a link in the place of a key is not followed', async () => {
  const directory = fresh();
  await symlink('/etc/hostname', path.join(directory, 'audit.key'));
  await assert.rejects(openSecrets(directory), { code: 'ELOOP' });
});
