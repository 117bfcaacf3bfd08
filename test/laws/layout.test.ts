import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isTest, resolved, source, sources, type Source } from './tree.ts';

/** What each folder of src/ may import. Everything else is refused. `node`: Node's own modules. */
const ARROWS: Record<string, readonly string[]> = {
  contract: ['zod'],
  core: ['contract'],
  host: ['core', 'contract', 'node', 'koffi', 'yaml'],
  store: ['core', 'contract', 'node'],
  daemon: ['contract', 'core', 'host', 'store', 'node', 'otpauth'],
  client: ['contract', 'node'],
  cli: ['client', 'guard', 'contract', 'node', '@stricli/core', 'uqr'],
  mcp: ['client', 'contract', 'node'],
  guard: ['client', 'contract', 'node', 'unbash'],
  gateway: ['client', 'contract', 'core/egress', 'node'],
};

/** Narrower than their folder's arrows, each with its reason. */
const ONLY: Record<string, { files: readonly RegExp[]; why: string }> = {
  koffi: { files: [/^src\/host\/syscalls\.ts$/], why: 'system calls stand in one file' },
  yaml: { files: [/^src\/host\/cells\/helper[\w-]*\.ts$/], why: 'what a cell can write is parsed inside the cell' },
  otpauth: { files: [/^src\/daemon\/factor[\w-]*\.ts$/], why: 'the second factor is checked in one place' },
};

function violations(files: readonly Source[]): string[] {
  return files.flatMap((file) => file.imports.flatMap((written) => judge(file.path, written)));
}

function judge(path: string, written: string): string[] {
  const from = path.split('/')[1] ?? '';
  const target = targetOf(path, written);
  const only = ONLY[target];
  if (only !== undefined && !only.files.some((pattern) => pattern.test(path)))
    return [`${path} imports ${written}: ${only.why}`];
  if (target === from) return [];
  const allowed = ARROWS[from]?.some((arrow) => target === arrow || target.startsWith(`${arrow}/`)) ?? false;
  return allowed ? [] : [`${path} imports ${written}: ${from}/ may import ${ARROWS[from]?.join(', ') ?? 'nothing'}`];
}

// `node`, the name of a package, or a folder of src/; for core/egress the file counts too.
function targetOf(path: string, written: string): string {
  if (written.startsWith('node:')) return 'node';
  if (!written.startsWith('.'))
    return written
      .split('/')
      .slice(0, written.startsWith('@') ? 2 : 1)
      .join('/');
  const inside = resolved(path, written).replace(/^src\//, '');
  if (inside.startsWith('core/egress')) return 'core/egress';
  return inside.split('/')[0] ?? '';
}

const tree = sources('src/**/*.ts').filter((file) => !isTest(file.path));

test('every import follows the arrows of the layout', () => {
  assert.ok(tree.length > 20);
  assert.deepEqual(violations(tree), []);
});

test('every folder of src/ has its arrows', () => {
  const folders = new Set(tree.map((file) => file.path.split('/')[1] ?? ''));
  assert.deepEqual(
    [...folders].filter((folder) => ARROWS[folder] === undefined),
    [],
  );
});

for (const [path, line] of [
  ['src/core/plans.ts', "import { readFileSync } from 'node:fs';"],
  ['src/core/plans.ts', "import { createPool } from '../host/btrfs/pool.ts';"],
  ['src/contract/app.ts', "import type { Caller } from '../core/caller.ts';"],
  ['src/contract/app.ts', "export { x } from 'node:path';"],
  ['src/host/btrfs/pool.ts', "import koffi from 'koffi';"],
  ['src/host/btrfs/pool.ts', "type X = import('../../store/db.ts').X;"],
  ['src/store/db.ts', "import { exec } from '../host/exec.ts';"],
  ['src/cli/main.ts', "await import('../daemon/main.ts');"],
  ['src/mcp/main.ts', "import { x } from '../cli/show.ts';"],
  ['src/gateway/main.ts', "import { x } from '../core/plans.ts';"],
  ['src/daemon/proposal.ts', "import { parse } from 'yaml';"],
  ['src/daemon/main.ts', "import x from 'left-pad';"],
  ['src/newfolder/main.ts', "import x from '../contract/app.ts';"],
] as const) {
  test(`the law bites: ${path} with ${line}`, () => {
    assert.equal(violations([source(path, line)]).length, 1);
  });
}

test('the law lets through what it should, comments included', () => {
  const text = "// from '../host/exec.ts'\nimport { x } from './exec.ts';\nimport { z } from 'zod/mini';\n";
  assert.deepEqual(violations([source('src/contract/app.ts', text)]), []);
  assert.deepEqual(violations([source('src/gateway/main.ts', "import { y } from '../core/egress.ts';")]), []);
});
