import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { rmSync, symlinkSync, writeFileSync } from 'node:fs';
import {
  chmod,
  link,
  lstat,
  mkdir,
  mkdtemp,
  open,
  readFile,
  readlink,
  rename,
  rm,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { encodeHeader } from './tar-header.ts';
import { pack, survey } from './tar.ts';
import { walk } from './tree.ts';

let folder = '';
const me = { uid: process.getuid?.() ?? 0 };
const other = { uid: me.uid + 1 };

beforeEach(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'bulkhead-tar-'));
  await mkdir(`${folder}/from`);
  await mkdir(`${folder}/to`);
});
afterEach(() => rm(folder, { recursive: true }));

/** Packs, and has the system's tar unpack and list what came. */
function through(reader = me, tell: Parameters<typeof pack>[2] = {}): string {
  const archive = Buffer.concat([...pack(`${folder}/from`, reader, tell)]);
  const unpacked = spawnSync('/usr/bin/tar', ['-x', '-C', `${folder}/to`], { input: archive });
  assert.equal(unpacked.status, 0, unpacked.stderr.toString());
  return spawnSync('/usr/bin/tar', ['-tv', '--numeric-owner'], { input: archive }).stdout.toString();
}

test('files, directories, modes, times and links arrive as they were', async () => {
  await mkdir(`${folder}/from/data/deep`, { recursive: true });
  await writeFile(`${folder}/from/data/rows`, '1\n2\n3\n', { mode: 0o640 });
  await writeFile(`${folder}/from/run.sh`, '#!/bin/sh\n');
  await chmod(`${folder}/from/run.sh`, 0o755);
  await symlink('/etc/passwd', `${folder}/from/out`);
  await symlink('data', `${folder}/from/in`);
  await link(`${folder}/from/data/rows`, `${folder}/from/data/deep/same`);
  await writeFile(`${folder}/from/empty`, '');
  through();
  assert.equal(await readFile(`${folder}/to/data/rows`, 'utf8'), '1\n2\n3\n');
  assert.equal((await lstat(`${folder}/to/run.sh`)).mode & 0o777, 0o755);
  assert.equal(await readlink(`${folder}/to/out`), '/etc/passwd');
  const [one, two] = await Promise.all([lstat(`${folder}/to/data/rows`), lstat(`${folder}/to/data/deep/same`)]);
  assert.equal(one.ino, two.ino);
  assert.equal(Math.floor(one.mtimeMs / 1000), Math.floor((await lstat(`${folder}/from/data/rows`)).mtimeMs / 1000));
});

test('names and links of any length and any bytes', async () => {
  const long = `${'directory-with-a-long-name/'.repeat(8)}file`;
  await mkdir(path.dirname(`${folder}/from/${long}`), { recursive: true });
  await writeFile(`${folder}/from/${long}`, 'here');
  await symlink('x'.repeat(300), `${folder}/from/far`);
  const raw = Buffer.concat([Buffer.from(`${folder}/from/`), Buffer.from([0x66, 0xff, 0xfe, 0x0a, 0x67])]);
  await writeFile(raw, 'raw');
  await writeFile(`${folder}/from/schön ☃`, 'snow');
  through();
  assert.equal(await readFile(`${folder}/to/${long}`, 'utf8'), 'here');
  assert.equal(await readlink(`${folder}/to/far`), 'x'.repeat(300));
  assert.equal(await readFile(Buffer.from(raw.toString('latin1').replace('/from/', '/to/'), 'latin1'), 'utf8'), 'raw');
  assert.equal(await readFile(`${folder}/to/schön ☃`, 'utf8'), 'snow');
});

test('a sparse file is read as what it says, and counted so', async () => {
  await writeFile(`${folder}/from/sparse`, 'a');
  await truncate(`${folder}/from/sparse`, 1_000_000);
  assert.equal(survey(`${folder}/from`, me).bytes, 1_000_000);
  through();
  assert.equal((await readFile(`${folder}/to/sparse`)).length, 1_000_000);
});

test('owners: root keeps those that a cell can have, others become agent and are counted', async () => {
  await writeFile(`${folder}/from/file`, 'x');
  assert.match(through(other), / 1000\/1000 /);
  assert.deepEqual(
    { ...survey(`${folder}/from`, other) },
    { files: 1, bytes: 1, renamed: ['file'], renamedCount: 1, rootCount: 0 },
  );
  assert.equal(survey(`${folder}/from`, me).renamedCount, 0);
  assert.match(through({ uid: 0 }), new RegExp(` ${me.uid}/`));
});

test('a FIFO, a socket and a device are refused by name, and nothing hangs', async () => {
  spawnSync('/usr/bin/mkfifo', [`${folder}/from/pipe`]);
  assert.throws(() => survey(`${folder}/from`, me), {
    code: 'bad-archive',
    message: 'Cannot read "pipe" into an app: it is a FIFO',
  });
  await rm(`${folder}/from/pipe`);
  const server = createServer().listen(`${folder}/from/sock`);
  await new Promise((resolve) => server.once('listening', resolve));
  assert.throws(() => [...pack(`${folder}/from`, me)], /"sock" into an app: it is a socket/);
  server.close();
});

test('a file that grows or shrinks while it is read keeps its length in the archive, and is told', async () => {
  await writeFile(`${folder}/from/a`, 'a'.repeat(700_000));
  await writeFile(`${folder}/from/b`, 'b');
  const changed: string[] = [];
  let pieces = 0;
  const parts: Buffer[] = [];
  for (const piece of pack(`${folder}/from`, me, { onChange: (name) => changed.push(name) })) {
    parts.push(piece);
    if (pieces++ === 0) await truncate(`${folder}/from/a`, 10);
  }
  const listed = spawnSync('/usr/bin/tar', ['-tv'], { input: Buffer.concat(parts) });
  assert.equal(listed.status, 0);
  assert.match(listed.stdout.toString(), /700000 .* a\n.* 1 .* b\n/);
  assert.deepEqual(changed, ['"a"']);
});

test('a directory that is swapped for a link while it is read leads nowhere else', async () => {
  await mkdir(`${folder}/secret`);
  await writeFile(`${folder}/secret/x`, 'words of another');
  await mkdir(`${folder}/from/dir`);
  await writeFile(`${folder}/from/dir/a`, 'a'.repeat(600_000));
  await writeFile(`${folder}/from/dir/x`, 'words of its own');
  const parts: Buffer[] = [];
  for (const piece of pack(`${folder}/from`, me)) {
    if (parts.length === 0) {
      await rename(`${folder}/from/dir`, `${folder}/old`);
      await symlink('../secret', `${folder}/from/dir`);
    }
    parts.push(piece);
  }
  const archive = Buffer.concat(parts);
  assert.deepEqual([archive.includes('words of its own'), archive.includes('words of another')], [true, false]);
});

test('a file that is swapped for a link is refused', () => {
  writeFileSync(`${folder}/secret`, 'secret');
  writeFileSync(`${folder}/from/x`, 'plain');
  for (const found of walk(`${folder}/from`)) {
    rmSync(`${folder}/from/x`);
    symlinkSync(`${folder}/secret`, `${folder}/from/x`);
    assert.throws(() => found.open(), { code: 'bad-archive' });
  }
});

test('sizes and ids that a ustar header cannot hold go into an extended one', () => {
  const header = encodeHeader({
    name: Buffer.from('big'),
    type: '0',
    mode: 0o644,
    uid: 3_000_000,
    gid: 7,
    size: 2 ** 35,
    mtime: 0,
  });
  assert.match(header.subarray(512).toString('latin1'), /^20 size=34359738368\n15 uid=3000000\n/);
  const listed = spawnSync('/usr/bin/tar', ['-tv', '--numeric-owner'], { input: header });
  assert.match(listed.stdout.toString(), /3000000\/7 +34359738368 /);
});

test('a directory that is none says what it is', async () => {
  assert.throws(() => survey(`${folder}/nothing`, me), /there is nothing of that name/);
  const file = await open(`${folder}/file`, 'w');
  await file.close();
  assert.throws(() => survey(`${folder}/file`, me), /it is not a directory/);
});
