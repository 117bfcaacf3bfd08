import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { run } from '@stricli/core';
import type { Context } from '../../src/cli/context.ts';
import { helpOf, helpOfAll } from '../../src/cli/help.ts';
import { createApplication } from '../../src/cli/routes.ts';
import { flagsOf, type Spec } from '../../src/cli/spec.ts';
import { allSpecs } from '../../src/cli/specs.ts';
import { TOPICS } from '../../src/cli/topics.ts';
import { VERSION } from '../../src/cli/version.ts';
import { socketPath } from '../../src/client/socket.ts';
import { objectOf } from '../../src/contract/fields.ts';
import type { Operation } from '../../src/contract/operation.ts';
import { OPERATIONS, type OperationName } from '../../src/contract/operations.ts';
import { VERSION as DAEMON } from '../../src/daemon/version.ts';
import { pathsOf } from '../../src/host/paths.ts';

const specs = allSpecs();
const declared = Object.entries(OPERATIONS) as unknown as [OperationName, Operation][];

/** The words of a command line as a shell would split them; quotes are enough here. */
const split = (line: string): string[] =>
  [...line.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');

/** Parses a command line; what its command would get, or what is wrong with it. */
async function parse(words: readonly string[]): Promise<{ spec: Spec; input: Record<string, unknown> } | string> {
  let got: { spec: Spec; input: Record<string, unknown> } | undefined;
  const wrong: string[] = [];
  const caught = specs.map((spec) => ({
    ...spec,
    run: async (_: Context, input: Record<string, unknown>) => ((got = { spec, input }), 0),
  }));
  const process = { stdout: { write: () => {} }, stderr: { write: (text: string) => void wrong.push(text) }, env: {} };
  await run(
    createApplication(caught, () => {}),
    [...words],
    { process } as unknown as Context,
  );
  return got ?? wrong.join('');
}

test('every operation with a command is reached by it, and by no other', () => {
  for (const [name, { command }] of declared) {
    const found = specs.filter((spec) => spec.operation === name);
    assert.equal(found.length, command === '' ? 0 : 1, name);
    if (command !== '') assert.equal(found[0]?.words.join(' '), command);
  }
});

test('every example parses, to an input that the operation takes', async () => {
  for (const spec of specs) {
    assert.ok(spec.examples.length > 0, `${spec.words.join(' ')} has no example`);
    for (const [at, example] of spec.examples.entries()) {
      const bare = example
        .replace(/^sudo /, '')
        .replace(/^source <\((.*)\)$/, '$1')
        .replace(/ [<>] \S+$/, '');
      const [program, ...words] = split(bare);
      assert.equal(program, 'bulkhead', example);
      const parsed = await parse(words);
      assert.ok(typeof parsed !== 'string', `${example}: ${String(parsed)}`);
      // The first is of the command itself; a later one may show what is done with its result.
      if (at === 0) assert.deepEqual(parsed.spec.words, spec.words, example);
      if (parsed.spec.operation === undefined) continue;
      const checked = objectOf(OPERATIONS[parsed.spec.operation].input).safeParse(parsed.input);
      assert.ok(checked.success, `${example}: ${JSON.stringify(checked.error?.issues)}`);
    }
  }
});

test('the law bites: an example of a command, a flag or a value that does not exist', async () => {
  for (const line of ['forks shop', 'fork shop --tll 3h', 'fork shop --ttl soon', 'fork', 'extend a b', 'constructor'])
    assert.equal(typeof (await parse(split(line))), 'string', line);
});

test('sizes, times and what follows -- arrive as the socket wants them', async () => {
  const fork = await parse(['fork', 'shop:fix', '--disk', '10G', '--ttl=1h30m', '--up']);
  assert.deepEqual(typeof fork === 'string' ? fork : fork.input, {
    ref: 'shop:fix',
    disk: 10 * 2 ** 30,
    ttl: 5400,
    up: true,
  });
  const exec = await parse(['exec', '-it', 'shop:fix', '--', 'ls', '--json', '-h']);
  assert.deepEqual(typeof exec === 'string' ? exec : exec.input, {
    ref: 'shop:fix',
    command: ['ls', '--json', '-h'],
    interactive: true,
    terminal: true,
  });
  const logs = await parse(['logs', '-f', '-n', '20', 'shop:fix']);
  assert.deepEqual(typeof logs === 'string' ? logs : logs.input, { ref: 'shop:fix', lines: 20, follow: true });
});

test('help names every flag, has an example, and fits a terminal', () => {
  for (const spec of specs) {
    const help = helpOf(spec);
    for (const flag of flagsOf(spec))
      assert.ok(help.includes(`--${flag.name}`), `${spec.words.join(' ')} --${flag.name}`);
    assert.ok(help.includes(`\n  ${spec.examples[0]}`));
    for (const line of help.split('\n')) assert.ok(line.length <= 100, `${line.length}: ${line}`);
  }
  const all = helpOfAll();
  for (const spec of specs)
    assert.ok(all.includes(`\n  ${spec.words.join(' ')} `), `${spec.words.join(' ')} is not in the help`);
  for (const text of [all, ...Object.values(TOPICS).map((topic) => topic())])
    for (const line of text.split('\n')) assert.ok(line.length <= 104, `${line.length}: ${line}`);
});

test('what changes something has --plan, unless its declaration says that there is none', () => {
  for (const [name, { effect, plan, command }] of declared.filter(([, { command }]) => command !== '')) {
    const flags = flagsOf(specs.find((spec) => spec.operation === name) as Spec).map((flag) => flag.name);
    assert.equal(flags.includes('plan'), effect !== 'read' && plan !== false, command);
    assert.ok(flags.includes('json') && flags.includes('verbose'), command);
    assert.equal(new Set(flags).size, flags.length, command);
  }
});

test('the command line and the daemon agree on the socket and the version', () => {
  const absent = (): boolean => false;
  for (const instance of ['', 'a', 'test-1']) {
    const env = instance === '' ? {} : { BULKHEAD_INSTANCE: instance };
    assert.equal(socketPath(env, absent), pathsOf(instance).socket);
  }
  for (const instance of ['A', '../x', 'x'.repeat(22), '-a']) {
    assert.throws(() => socketPath({ BULKHEAD_INSTANCE: instance }, absent), { code: 'bad-name' });
    assert.throws(() => pathsOf(instance), { code: 'bad-name' });
  }
  assert.equal(
    socketPath({ BULKHEAD_INSTANCE: 'a' }, (path) => path === '/run/bulkhead/cell.sock'),
    '/run/bulkhead/cell.sock',
  );
  assert.equal(
    socketPath({ BULKHEAD_SOCKET: '/x', BULKHEAD_INSTANCE: 'a' }, () => true),
    '/x',
  );
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  assert.deepEqual([VERSION, DAEMON], [version, version]);
});
