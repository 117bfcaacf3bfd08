import assert from 'node:assert/strict';
import { test } from 'node:test';
import { argumentsIn, isNested, numbers, parseStat, uidsOf, variablesIn } from './proc.ts';

/** /proc/PID/stat as kernel 6.18 writes it, with another name. */
const stat = (name: string): string =>
  `41873 (${name}) S 41790 41873 41700 34819 41873 4194304 98 0 0 0 0 0 0 0 20 0 1 0 178916 3133440 390 18446744073709551615 94212422254592 94212422274473 140729030783984 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 94212422290480 94212422292096 94212642717696 140729030785754 140729030785774 140729030785774 140729030787051 0\n`;

test('reads the numbers, whatever the name is', () => {
  for (const name of ['bash', 'a b', ') R 1 1 1 0 (', '((', 'x\ny', '']) {
    const seen = parseStat(stat(name));
    assert.equal(seen?.comm, name);
    assert.deepEqual(
      [seen?.pid, seen?.ppid, seen?.group, seen?.session, seen?.tty, seen?.foreground],
      [41_873, 41_790, 41_873, 41_700, 34_819, 41_873],
    );
    assert.equal(seen?.started, 1_789_160);
    assert.equal(seen?.image, '140729030783984 140729030785754 140729030785774');
    assert.equal(seen?.environ, 1277);
    assert.equal(seen?.zombie, false);
  }
});

test('what is no such line is nothing', () => {
  for (const text of ['', 'x', '1 (a', '1 (a) S 1 2 3', ')(']) assert.equal(parseStat(text), undefined);
  assert.equal(numbers(2 ** 22 + 1), undefined);
});

test('sees this very process', () => {
  const seen = numbers(process.pid);
  assert.equal(seen?.pid, process.pid);
  assert.equal(seen?.ppid, process.ppid);
});

test('uids and namespaces from the status; a name cannot forge them', () => {
  const status = 'Name:\tx\\nUid:\t0\\t0\nUid:\t1000\t1001\t1002\t1003\nNSpid:\t77\t1\n';
  assert.deepEqual(uidsOf(status), [1000, 1001, 1002, 1003]);
  assert.equal(isNested(status), true);
  assert.equal(isNested('NSpid:\t77\n'), false);
  assert.equal(isNested('Name:\tx\n'), true, 'not known is not outside');
  assert.deepEqual(uidsOf(''), []);
});

test('keeps the variables that are wanted, and no other', () => {
  const block = Buffer.from('SECRET=abc\0CLAUDECODE=1\0=odd\0NOVALUE\0CLAUDECODE=2\0X=1=2\0');
  const keep = (name: string): boolean => name === 'CLAUDECODE' || name === 'X';
  assert.deepEqual(variablesIn(block, keep), [
    ['CLAUDECODE', '1'],
    ['CLAUDECODE', '2'],
    ['X', '1=2'],
  ]);
  assert.deepEqual(variablesIn(undefined, keep), []);
});

test('arguments are counted and cut', () => {
  assert.deepEqual(argumentsIn(Buffer.from('node\0\0x\0')), ['node', '', 'x']);
  const many = argumentsIn(Buffer.from(Array.from({ length: 99 }, () => 'y'.repeat(999)).join('\0')));
  assert.deepEqual([many.length, many[0]?.length], [16, 256]);
});
