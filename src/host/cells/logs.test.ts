import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import * as fc from 'fast-check';
import { createLineParser, followLog, keepLog, prepareLog, tailLog } from './logs.ts';

const directory = mkdtempSync(path.join(tmpdir(), 'logs-'));
after(() => rmSync(directory, { recursive: true }));

const AT = '2026-01-01T00:00:00.000000000+00:00';
const line = (text: string, tag = 'F', stream = 'stdout'): string => `${AT} ${stream} ${tag} ${text}\n`;

/** What the supervisor does when the file is full. */
function replace(file: string): void {
  writeFileSync(`${file}.tmp`, '');
  renameSync(`${file}.tmp`, file);
}

test('lines are put together, however they are cut, each stream by itself', () => {
  const text = [
    line('whole'),
    line('begun, ', 'P'),
    line('between', 'F', 'stderr'),
    line('gone on, ', 'P'),
    line('énded ✓'),
    line(''),
    line(' led by a space'),
  ].join('');
  const bytes = Buffer.from(text).toString('latin1');
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: bytes.length })), (cuts) => {
      const parser = createLineParser();
      const places = [0, ...cuts.sort((a, b) => a - b), bytes.length];
      const lines = places.flatMap((at, index) => parser.push(bytes.slice(places[index - 1] ?? 0, at)));
      assert.deepEqual(
        lines.map((one) => one.text),
        ['whole', 'between', 'begun, gone on, énded ✓', '', ' led by a space'],
      );
    }),
  );
});

test('what is no line of a log is passed over', () => {
  assert.deepEqual(createLineParser().push('nonsense\n\nx stdout Z y\n'), []);
});

test('a tail goes over the place where the file was replaced, and over an earlier run', async () => {
  const file = path.join(directory, 'tail');
  prepareLog(file);
  appendFileSync(file, line('one') + line('two'));
  replace(file);
  keepLog(file);
  appendFileSync(file, line('three'));
  assert.deepEqual(
    (await tailLog(file, 10)).map((one) => one.text),
    ['one', 'two', 'three'],
  );
  assert.deepEqual(
    (await tailLog(file, 2)).map((one) => one.text),
    ['two', 'three'],
  );
  assert.deepEqual(await tailLog(file, 0), []);
  prepareLog(file);
  appendFileSync(file, line('four'));
  assert.deepEqual(
    (await tailLog(file, 10)).map((one) => one.text),
    ['three', 'four'],
  );
  assert.deepEqual(await tailLog(path.join(directory, 'none'), 10), []);
});

test('following sees what comes, across replacements, and what came after a given line', async () => {
  const file = path.join(directory, 'follow');
  prepareLog(file);
  appendFileSync(file, line('old'));
  const stop = new AbortController();
  const seen: string[] = [];
  const following = followLog(file, stop.signal, (lines) => void seen.push(...lines.map(({ text }) => text)));
  const until = async (texts: string[], count: number): Promise<void> => {
    while (texts.length < count) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  appendFileSync(file, line('new'));
  await until(seen, 1);
  replace(file);
  appendFileSync(file, line('newer'));
  await until(seen, 2);
  stop.abort();
  await following;
  assert.deepEqual(seen, ['new', 'newer']);

  const late: string[] = [];
  const second = new AbortController();
  const again = followLog(
    file,
    second.signal,
    (lines) => void late.push(...lines.map(({ text }) => text)),
    '2025-12-31T00:00:00.000000000+00:00',
  );
  await until(late, 1);
  second.abort();
  await again;
  assert.deepEqual(late, ['newer']);
});

test('the last lines are the same, however far back they begin', async () => {
  const file = path.join(directory, 'long');
  prepareLog(file);
  const many = (from: number, to: number): string =>
    Array.from({ length: to - from }, (_, index) => line(`${from + index} ${'x'.repeat(index % 90)}`)).join('');
  appendFileSync(file, many(0, 9000));
  replace(file);
  keepLog(file);
  appendFileSync(file, many(9000, 12_000));
  for (const count of [1, 200, 2999, 3000, 3001, 11_999, 12_000, 20_000]) {
    const numbers = (await tailLog(file, count)).map(({ text }) => Number(text.split(' ')[0]));
    const first = Math.max(0, 12_000 - count);
    assert.deepEqual(
      numbers,
      Array.from({ length: 12_000 - first }, (_, index) => first + index),
    );
  }
});

test('who reads slowly holds up nobody: what is written meanwhile does not wait in memory', async () => {
  const file = path.join(directory, 'slow');
  prepareLog(file);
  const stop = new AbortController();
  let given = 0;
  let go = (): void => {};
  const following = followLog(file, stop.signal, (lines) => {
    given += lines.length;
    return new Promise((resolve) => (go = resolve));
  });
  for (let round = 0; round < 50; round += 1) {
    appendFileSync(file, line('x'.repeat(1000)).repeat(1000));
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  assert.ok(given > 0 && given < 100, String(given));
  stop.abort();
  go();
  await following;
});
