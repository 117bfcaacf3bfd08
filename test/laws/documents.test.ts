import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { flagsOf, type Spec } from '../../src/cli/spec.ts';
import { allSpecs } from '../../src/cli/specs.ts';
import { appFile, NO_FILE } from '../../src/contract/app-file.ts';
import { ERRORS } from '../../src/contract/errors.ts';
import { sources } from './tree.ts';

/** What people read. Each law takes the documents as they are, and bites on a made-up one. */
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const documents = sources('*.md', 'docs/**/*.md', 'changelog/**/*.md').map(({ path, text }) => ({ path, text }));
type Document = (typeof documents)[number];

const page = (name: string): Document => {
  const found = documents.find((document) => document.path === name);
  assert.ok(found, `${name} is not there`);
  return found;
};

// Links

/** As GitHub makes them from headings. */
const anchors = (text: string): Set<string> =>
  new Set(
    [...text.replace(/^```[\s\S]*?^```/gm, '').matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
      heading
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N}_ -]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );

function brokenLinks({ path: from, text }: Document): string[] {
  const plain = text.replace(/^```[\s\S]*?^```/gm, '');
  return [...plain.matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, link = '']) => {
    if (/^[a-z]+:/.test(link)) return [];
    const [file = '', anchor] = link.split('#');
    const target = file === '' ? from : path.join(path.dirname(from), file);
    if (!existsSync(path.join(ROOT, target))) return [`${from}: ${link}`];
    if (anchor === undefined || anchors(readFileSync(path.join(ROOT, target), 'utf8')).has(anchor)) return [];
    return [`${from}: ${link} (no such heading)`];
  });
}

test('every link inside the project leads somewhere', () => {
  assert.deepEqual(documents.flatMap(brokenLinks), []);
  assert.equal(
    brokenLinks({ path: 'docs/a.md', text: '[x](none.md) [y](start-here.md#none) [z](start-here.md#the-words)' })
      .length,
    2,
  );
});

test('every page of docs/ is reached from the README', () => {
  const reached = new Set<string>();
  const visit = (name: string): void => {
    if (reached.has(name)) return;
    reached.add(name);
    for (const [, link = ''] of readFileSync(path.join(ROOT, name), 'utf8').matchAll(/\]\(([^)\s#]+\.md)/g))
      if (existsSync(path.join(ROOT, path.join(path.dirname(name), link)))) visit(path.join(path.dirname(name), link));
  };
  visit('README.md');
  const unreached = documents.map((one) => one.path).filter((name) => name.startsWith('docs/') && !reached.has(name));
  assert.deepEqual(
    unreached.filter((name) => !name.startsWith('docs/adr/')),
    [],
  );
});

// Commands

const specs = allSpecs();
const GLOBAL = new Set(['--help', '-h', '--version']);

/** Command lines in code blocks and in code within text, without what follows `--` and what is piped on. */
function commandLines(text: string): string[] {
  const blocks = [...text.matchAll(/^```(?:sh)?\n([\s\S]*?)^```/gm)].flatMap(([, block = '']) => block.split('\n'));
  const inline = [...text.replace(/^```[\s\S]*?^```/gm, '').matchAll(/`([^`\n]+)`/g)].map(([, code = '']) => code);
  return [...blocks, ...inline].flatMap((line) =>
    line
      .split(/\s*(?:\||&&)\s*/)
      .map((part) => part.replace(/^(?:[$#] |sudo (?:-E |setsid -f )?)*/, ''))
      .filter((part) => /^(?:\S*\/)?bulkhead(?: |$)/.test(part)),
  );
}

function wrong(line: string): string | undefined {
  const all = line.split(/ {2,}/)[0] ?? '';
  const words = (all.split(' -- ')[0] ?? '').trim().split(/\s+/).slice(1);
  if (words.every((word) => GLOBAL.has(word) || /^[A-Z]+$|^…$/.test(word))) return undefined;
  const spec = specs.find((one) => one.words.every((word, at) => words[at] === word));
  if (spec === undefined)
    return specs.some((one) => one.words[0] === words[0] && words.length === 1)
      ? undefined
      : `there is no command: ${line}`;
  const unknown = words.find((word) => word.startsWith('-') && !GLOBAL.has(word) && !knows(spec, word));
  return unknown === undefined ? undefined : `there is no flag ${unknown}: ${line}`;
}

function knows(spec: Spec, word: string): boolean {
  const flags = flagsOf(spec);
  if (word.startsWith('--')) return flags.some((flag) => `--${flag.name}` === word.split('=')[0]);
  return word
    .slice(1)
    .split('')
    .every((letter) => flags.some((flag) => flag.alias === letter));
}

test('every command that a document shows is one, with flags that it has', () => {
  const found = documents.flatMap(({ path, text }) => commandLines(text).map((line) => ({ path, line })));
  assert.ok(found.length > 100);
  assert.deepEqual(
    found.flatMap(({ path, line }) => (wrong(line) === undefined ? [] : [`${path}: ${wrong(line)}`])),
    [],
  );
  assert.match(wrong('bulkhead vanish shop') ?? '', /no command/);
  assert.match(wrong('bulkhead fork shop:x --vanish') ?? '', /no flag/);
});

// Tables that the code has as well

test('every error code has its line in the guide to troubleshooting, and no other has', () => {
  const named = [...page('docs/guides/troubleshooting.md').text.matchAll(/^\| `([a-z-]+)` \|/gm)].map(
    ([, code]) => code,
  );
  assert.deepEqual(new Set(named), new Set(Object.keys(ERRORS)));
  assert.equal(named.length, new Set(named).size);
});

test('every key of bulkhead.yaml has its line in its guide, and no other has', () => {
  const text =
    page('docs/guides/bulkhead-yaml.md')
      .text.split(/^## /m)
      .find((part) => part.startsWith('Every key')) ?? '';
  const named = [...text.matchAll(/^\| `([a-z_.]+)` \| [^|]+ \| [^|]+ \|$/gm)].map(([, key]) => key);
  assert.deepEqual(new Set(named), new Set(keysOf(appFile.def.shape)));
  assert.equal(named.length, new Set(named).size);
  assert.ok(Object.keys(NO_FILE).every((key) => text.includes(`\`${key}`)));
});

interface Shaped {
  def?: { shape?: Record<string, Shaped>; innerType?: Shaped };
}

/** The leaves of a schema, by their paths. */
function keysOf(shape: object, prefix = ''): string[] {
  return Object.entries(shape as Record<string, Shaped>).flatMap(([key, schema]) => {
    let inner: Shaped | undefined = schema;
    while (inner?.def?.innerType !== undefined) inner = inner.def.innerType;
    return inner?.def?.shape === undefined ? [`${prefix}${key}`] : keysOf(inner.def.shape, `${prefix}${key}.`);
  });
}

test('every invariant names the tests that enforce it, numbered without a gap', () => {
  const lines = page('docs/design/invariants.md')
    .text.split('\n')
    .filter((line) => /^\| I\d+ \|/.test(line));
  assert.deepEqual(
    lines.map((line) => line.split(' ')[1]),
    lines.map((_, at) => `I${at + 1}`),
  );
  assert.deepEqual(
    lines.filter((line) => !/\]\(\S+\.(test|suite)\.ts\)/.test(line)),
    [],
  );
});

test('the README has no figure of a measurement but where a run has put it', () => {
  const text = page('README.md').text.replace(/<!-- figures:(\w+) -->[\s\S]*?<!-- \/figures:\1 -->/g, '');
  const figure = /\d\s?(?:ms|s|MB\/s|GiB|MiB|%)\b/;
  assert.doesNotMatch(text, figure);
  assert.match('a fork takes 12 ms', figure);
});
