import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync, readlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { afterEach, beforeEach, test } from 'node:test';
import { ROOT } from './parts.ts';

let folder = '';
let file = '';

beforeEach(() => {
  folder = mkdtempSync(`${tmpdir()}/bulkhead-lend-`);
  file = `${folder}/etc/policy`;
});
afterEach(() => rmSync(folder, { recursive: true }));

function bash(script: string): void {
  execFileSync('bash', ['-euc', `source ${ROOT}scripts/lend.sh; ${script}`, 'bash', file]);
}
const LEND = 'lend "$1" 755 "#!/bin/sh" "$LENT_MARK" "exit 101"';

test('a file that was not there is there for a while, and goes', () => {
  bash(LEND);
  assert.match(readFileSync(file, 'utf8'), /^#!\/bin\/sh\n.*\nexit 101\n$/);
  bash('give_back "$1"; give_back "$1"');
  assert.ok(!existsSync(file));
});

test("an administrator's file comes back, also after two runs that were killed", () => {
  bash('mkdir "${1%/*}"; echo theirs >"$1"');
  bash(LEND);
  bash(LEND);
  assert.match(readFileSync(file, 'utf8'), /exit 101/);
  bash('give_back "$1"');
  assert.equal(readFileSync(file, 'utf8'), 'theirs\n');
});

test('a link comes back as the link it was', () => {
  bash('mkdir "${1%/*}"');
  symlinkSync('/nowhere', file);
  bash(`${LEND}; give_back "$1"`);
  assert.equal(readlinkSync(file), '/nowhere');
});

test('what was put there meanwhile by somebody else is left alone', () => {
  bash(LEND);
  writeFileSync(file, 'theirs, meanwhile\n');
  bash('give_back "$1"');
  assert.equal(readFileSync(file, 'utf8'), 'theirs, meanwhile\n');
});

test('killed between putting aside and putting there: what was there comes back', () => {
  bash('mkdir "${1%/*}"; echo theirs >"$1$LENT_SUFFIX"; give_back "$1"');
  assert.equal(readFileSync(file, 'utf8'), 'theirs\n');
});
