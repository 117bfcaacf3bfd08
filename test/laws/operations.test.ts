import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Field } from '../../src/contract/fields.ts';
import type { Operation } from '../../src/contract/operation.ts';
import { OPERATIONS } from '../../src/contract/operations.ts';
import { RULES, ruleFor, type Area, type Rule } from '../../src/core/policy-rules.ts';
import { HANDLERS } from '../../src/daemon/operations/table.ts';
import { isTest, source, sources, type Source } from './tree.ts';

const EFFECTS = ['read', 'create', 'change', 'destroy'];
const TARGETS = ['machine', 'authority', 'self', 'app', 'fork', 'ref'];

/** What is missing in a declaration, in words. */
function faults(name: string, declared: Operation): string[] {
  const fields: [string, Field][] = [...Object.entries(declared.input), ...Object.entries(declared.output)];
  const undocumented = fields.filter(([, field]) => field.doc.trim().length < 3);
  const targetless =
    ['app', 'fork', 'ref'].includes(declared.target) && !('ref' in declared.input || 'name' in declared.input);
  return [
    ...(/^[a-z]+(-[a-z]+)*(\.[a-z]+(-[a-z]+)*)?$/.test(name) ? [] : ['its name is not noun.verb']),
    ...(EFFECTS.includes(declared.effect) ? [] : ['it has no effect']),
    ...(TARGETS.includes(declared.target) ? [] : ['it has no target']),
    ...(declared.doc.trim().length < 10 ? ['it has no documentation'] : []),
    ...(declared.command !== '' && declared.examples.length === 0 ? ['it has no example'] : []),
    ...declared.examples
      .filter((line) => !/\bbulkhead\b/.test(line))
      .map((line) => `"${line}" is no command line of ours`),
    ...undocumented.map(([field]) => `its field ${field} is not documented`),
    ...(targetless ? ['it names a target and has no ref'] : []),
  ];
}

for (const [name, declared] of Object.entries(OPERATIONS)) {
  test(`${name} is declared whole`, () => {
    assert.deepEqual(faults(name, declared as Operation), []);
  });
}

test('every operation has a handler, and every handler an operation', () => {
  assert.deepEqual(Object.keys(HANDLERS).sort(), Object.keys(OPERATIONS).sort());
});

/** What an operation may touch, as the policy sees it. */
function areas(declared: Operation): Area[] {
  if (declared.target === 'app') return ['production'];
  return declared.target === 'ref' ? ['production', 'fork'] : [declared.target];
}

/** The lines of the policy that decide an operation; undefined where none does. */
function rules(name: string, declared: Operation): (Rule | undefined)[] {
  return areas(declared).map((area) => ruleFor({ name, area, effect: declared.effect, data: declared.data ?? false }));
}
const operations = Object.entries(OPERATIONS) as [string, Operation][];

test('every operation has a line of the policy, with its reason, wherever it may reach', () => {
  const without = operations.filter(([name, declared]) => rules(name, declared).some((rule) => !rule?.reason));
  assert.deepEqual(
    without.map(([name]) => name),
    [],
  );
});

test('every line of the policy decides some operation, or stands for one that may come', () => {
  const used = new Set(operations.flatMap(([name, declared]) => rules(name, declared)));
  const named = RULES.filter((rule) => rule.operation !== undefined && !used.has(rule));
  assert.deepEqual(named, []);
});

test('nobody but a person changes, destroys or creates production, or reads its data', () => {
  const harmful = operations.flatMap(([name, declared]) => {
    if (declared.effect === 'read' && declared.data !== true) return [];
    const production = rules(name, declared).filter((rule) => rule?.area === 'production');
    return production
      .filter((rule) => rule?.unproven !== 'no' || rule.service !== 'no' || !['no', 'own'].includes(rule.cell))
      .map(() => name);
  });
  assert.deepEqual(harmful, []);
});

// One door: who has no table of handlers cannot run one past the policy.
const passing = (files: readonly Source[]) =>
  files.filter((file) => file.imports.some((path) => path.endsWith('operations/table.ts'))).map((file) => file.path);

test('only the assembly of the daemon has the handlers, and gives them to the pipeline', () => {
  assert.deepEqual(passing(sources('src/**/*.ts').filter((file) => !isTest(file.path))), ['src/daemon/wire.ts']);
  const [assembly] = sources('src/daemon/wire.ts');
  assert.equal(assembly?.code.match(/\bHANDLERS\b/g)?.length, 2);
  assert.match(assembly.code, /createPipeline\(.*\bHANDLERS\)/);
});

test('the law bites: a handler that is reached past the policy, an operation that no rule names', () => {
  assert.equal(
    passing([source('src/daemon/server.ts', "import { HANDLERS } from './operations/table.ts';")]).length,
    1,
  );
  const made = { effect: 'destroy', target: 'self' } as Operation;
  assert.deepEqual(rules('self.purge', made), [undefined]);
});

test('no two operations share the words of a command', () => {
  const commands = Object.values(OPERATIONS)
    .map((declared) => declared.command)
    .filter((command) => command !== '');
  assert.deepEqual(
    commands.filter((command, at) => commands.indexOf(command) !== at),
    [],
  );
});

test('the law bites: a declaration without effect, documentation, example or ref', () => {
  const made = {
    doc: '',
    effect: undefined,
    target: 'app',
    input: { tag: { doc: '' } },
    output: {},
    command: 'x',
    examples: [],
  };
  // Deliberately not an operation: the compiler would refuse it, and so must the law.
  assert.equal(faults('Fork', made as unknown as Operation).length, 6);
});
