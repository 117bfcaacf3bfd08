import assert from 'node:assert/strict';
import { constants } from 'node:os';
import { test } from 'node:test';
import { SyscallError } from '../syscalls.ts';
import { undisturbed } from './bpf.ts';

const failing = (times: number, errno: number): (() => number) => {
  let left = times;
  return () => {
    left -= 1;
    if (left >= 0) throw new SyscallError('bpf', errno);
    return 7;
  };
};

test('a verifier that a signal disturbed is asked again', () => {
  assert.equal(undisturbed(failing(3, constants.errno.EAGAIN)), 7);
});

test('it is not asked for ever, and what it refuses it is not asked again', () => {
  assert.throws(() => undisturbed(failing(1000, constants.errno.EAGAIN)), SyscallError);
  assert.throws(() => undisturbed(failing(1, constants.errno.EACCES)), SyscallError);
});
