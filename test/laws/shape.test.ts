import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isTest, source, sources, type Source } from './tree.ts';

const LONGEST = 250;
/** Tests are read from the top for one case at a time, so they may be longer. */
const LONGEST_TEST = 400;
/** Files that may be longer, each with its reason. */
const LONGER: Record<string, string> = {};

interface Law {
  rule: string;
  broken: (file: Source) => boolean;
  bites: Source;
}

// Put together, so that this file does not break its own laws.
const word = (...parts: string[]) => parts.join('');
const SKIP = new RegExp(
  word('\\b(test|it|describe|suite)\\.(sk', 'ip|on', 'ly|to', 'do)\\b|\\b(sk', 'ip|to', 'do): *(?!undefined|false)'),
);
const UNFINISHED = new RegExp(word('\\b(TO', 'DO|FIX', 'ME|XX', 'X)\\b'));
const MACHINE = new RegExp(word('/wo', 'rk/|regi', 'stry\\.npm|de', 'b\\.debian\\.org'));
// In data for tests, and of the accounts that our examples and sources of markers have, a home is no slip.
const HOME = new RegExp(word('/ho', 'me/(?!agent|deploy|jules)\\w'));

const onlyPassesOn = ({ code }: Source) =>
  code.trim() !== '' && code.replace(/^(import|export) [^;]*\bfrom [^;]*;/gm, '').trim() === '';

function isLong(file: Source): boolean {
  return file.text.split('\n').length - 1 > (isTest(file.path) ? LONGEST_TEST : LONGEST);
}

const SOURCES: readonly Law[] = [
  {
    rule: 'named exports only',
    broken: (file) => /^export default\b/m.test(file.code),
    bites: source('src/a.ts', 'export default function f() {}'),
  },
  {
    rule: 'no file only passes on what others export',
    broken: (file) =>
      /^export (type )?\*/m.test(file.code) || /\/(index|mod)\.ts$/.test(file.path) || onlyPassesOn(file),
    bites: source('src/a.ts', "export { x } from './x.ts';"),
  },
  {
    rule: `at most ${LONGEST} lines`,
    broken: (file) => isLong(file) && LONGER[file.path] === undefined,
    bites: source('src/a.ts', 'x();\n'.repeat(LONGEST + 1)),
  },
  {
    rule: 'named in kebab-case',
    broken: (file) => !/^[a-z\d/.-]+$/.test(file.path),
    bites: source('src/createPool.ts', ''),
  },
  {
    rule: 'no folder for kinds of code',
    broken: (file) => /\/(utils?|helpers|types|services|lib|common|misc)(\/|\.ts$)/.test(file.path),
    bites: source('src/utils/a.ts', ''),
  },
];

const EVERYWHERE: readonly Law[] = [
  {
    rule: 'no test is passed over',
    broken: (file) => file.path.endsWith('.test.ts') && SKIP.test(file.code),
    bites: source('src/a.test.ts', word('test.sk', "ip('x', () => {});")),
  },
  {
    rule: 'nothing unfinished',
    broken: (file) => UNFINISHED.test(file.text),
    bites: source('src/a.ts', word('// TO', 'DO: the rest')),
  },
  {
    rule: 'no path or host of the machine it was written on',
    broken: (file) => MACHINE.test(file.text) || (!isTest(file.path) && HOME.test(file.text)),
    bites: source('docs/a.md', word('see /ho', 'me/somebody/notes')),
  },
];

const tree = sources('src/**/*.ts');
const everything = [
  ...sources(
    '{src,test,scripts,bench,drills}/**/*.{ts,sh,awk,py}',
    'docs/**/*.md',
    '*.md',
    'run',
    'bulkhead',
    '.ci/run',
  ),
];

function hold(laws: readonly Law[], files: readonly Source[]): void {
  for (const law of laws) {
    test(`the shape of the tree: ${law.rule}`, () => {
      assert.deepEqual(
        files.filter(law.broken).map((file) => file.path),
        [],
      );
    });
    test(`the law bites: ${law.rule}`, () => {
      assert.ok(law.broken(law.bites));
      assert.ok(!law.broken(source('src/fine.ts', 'export const x = 1;\n')));
    });
  }
}

hold(SOURCES, tree);
hold(EVERYWHERE, everything);

test('every exception is still needed', () => {
  const long = new Set(tree.filter(isLong).map((file) => file.path));
  assert.deepEqual(
    Object.keys(LONGER).filter((path) => !long.has(path)),
    [],
  );
});
