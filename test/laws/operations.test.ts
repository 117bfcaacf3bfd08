import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Field } from '../../src/contract/fields.ts';
import type { Operation } from '../../src/contract/operation.ts';
import { OPERATIONS } from '../../src/contract/operations.ts';
import { HANDLERS } from '../../src/daemon/operations/table.ts';

const EFFECTS = ['read', 'create', 'change', 'destroy'];
const TARGETS = ['machine', 'authority', 'self', 'app', 'fork', 'ref'];

/** What is missing in a declaration, in words. */
function faults(name: string, declared: Operation): string[] {
  const fields: [string, Field][] = [...Object.entries(declared.input), ...Object.entries(declared.output)];
  const undocumented = fields.filter(([, field]) => field.doc.trim().length < 3);
  const targetless = ['app', 'fork', 'ref'].includes(declared.target) && declared.input['ref'] === undefined;
  return [
    ...(/^[a-z]+(-[a-z]+)*(\.[a-z]+(-[a-z]+)*)?$/.test(name) ? [] : ['its name is not noun.verb']),
    ...(EFFECTS.includes(declared.effect) ? [] : ['it has no effect']),
    ...(TARGETS.includes(declared.target) ? [] : ['it has no target']),
    ...(declared.doc.trim().length < 10 ? ['it has no documentation'] : []),
    ...(declared.examples.length === 0 ? ['it has no example'] : []),
    ...declared.examples.filter((line) => !/\bbulkhead\b/.test(line)).map((line) => `"${line}" is no command line of ours`),
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

test('no two operations share the words of a command', () => {
  const commands = Object.values(OPERATIONS).map((declared) => declared.command).filter((command) => command !== '');
  assert.deepEqual(commands.filter((command, at) => commands.indexOf(command) !== at), []);
});

test('the law bites: a declaration without effect, documentation, example or ref', () => {
  const made = { doc: '', effect: undefined, target: 'app', input: { tag: { doc: '' } }, output: {}, command: 'x', examples: [] };
  // Deliberately not an operation: the compiler would refuse it, and so must the law.
  assert.equal(faults('Fork', made as unknown as Operation).length, 6);
});
