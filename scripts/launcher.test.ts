import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { afterEach, beforeEach, test } from 'node:test';
import { ROOT } from './parts.ts';

let folder = '';

// A checkout with the real launcher, and a program that says how it was started.
beforeEach(() => {
  folder = mkdtempSync(`${tmpdir()}/bulkhead-launcher-`);
  for (const name of ['here', 'here/.tools', 'here/dist', 'bin', 'planted']) mkdirSync(`${folder}/${name}`);
  copyFileSync(`${ROOT}bulkhead`, `${folder}/here/bulkhead`);
  symlinkSync(process.execPath, `${folder}/here/.tools/node`);
  const program =
    'process.stdout.write(JSON.stringify({ args: process.argv.slice(2), options: process.env.NODE_OPTIONS }))';
  writeFileSync(`${folder}/here/dist/bulkhead.cjs`, program);
});
afterEach(() => rmSync(folder, { recursive: true }));

function start(file: string, args: string[], more: { cwd?: string; env?: Record<string, string> } = {}) {
  const { status, stdout, stderr } = spawnSync(file, args, {
    cwd: more.cwd ?? '/',
    env: { PATH: '/usr/bin:/bin', ...more.env },
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
}

test('arguments arrive as they were given', () => {
  const args = ['exec', 'shop:fix', '--', 'echo', 'a b', '', '*', "it's"];
  assert.deepEqual(JSON.parse(start(`${folder}/here/bulkhead`, args).stdout), { args });
});

test('it finds its own place through links, relative ones and a relative path', () => {
  symlinkSync('../here/bulkhead', `${folder}/bin/first`);
  symlinkSync('first', `${folder}/bin/bulkhead`);
  for (const [file, cwd] of [
    [`${folder}/bin/bulkhead`, '/'],
    ['./bulkhead', `${folder}/bin`],
    ['here/bulkhead', folder],
  ] as const)
    assert.deepEqual(JSON.parse(start(file, ['x'], { cwd }).stdout), { args: ['x'] }, file);
});

test('a program that was planted in the working directory or on the path does not run', () => {
  for (const name of ['node', 'readlink', 'sh']) {
    writeFileSync(`${folder}/planted/${name}`, '#!/bin/sh\necho planted\n');
    chmodSync(`${folder}/planted/${name}`, 0o755);
  }
  symlinkSync('../here/bulkhead', `${folder}/bin/bulkhead`);
  const env = { PATH: `.:${folder}/planted:/usr/bin:/bin` };
  const started = start(`${folder}/bin/bulkhead`, ['x'], { cwd: `${folder}/planted`, env });
  assert.deepEqual(JSON.parse(started.stdout), { args: ['x'] });
});

test("the caller's options for Node load nothing", () => {
  writeFileSync(`${folder}/planted/load.cjs`, 'process.stdout.write("planted")');
  const started = start(`${folder}/here/bulkhead`, [], {
    env: { NODE_OPTIONS: `--require ${folder}/planted/load.cjs` },
  });
  assert.deepEqual(JSON.parse(started.stdout), { args: [] });
});

test('before the set-up it says which command makes it', () => {
  rmSync(`${folder}/here/dist/bulkhead.cjs`);
  const started = start(`${folder}/here/bulkhead`, ['ls']);
  assert.equal(started.status, 1);
  assert.match(started.stderr, /Run: {2}sudo .*\/here\/run setup/);
});
