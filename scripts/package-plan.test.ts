import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { ROOT } from './parts.ts';

function plan(fixture: string, facts: { busy?: string; touchy?: string } = {}): string[] {
  const variables = ['-v', `busy=${facts.busy ?? ''}`, '-v', `touchy=${facts.touchy ?? ''}`];
  const input = readFileSync(`${ROOT}test/fixtures/apt-2.6/${fixture}.txt`);
  const program = `${ROOT}scripts/package-plan.awk`;
  return execFileSync('awk', [...variables, '-f', program], { input, encoding: 'utf8' })
    .trim()
    .split('\n');
}

test('on a fresh machine everything is new, and nothing stops it', () => {
  const lines = plan('fresh', { busy: 'bash coreutils', touchy: 'libc6' });
  assert.equal(lines.length, 28);
  assert.ok(lines.every((line) => line.startsWith('new ')));
  assert.ok(lines.includes('new runc 1.1.5+ds1-1+deb12u1'));
});

test("Docker's own containerd.io, which the runc package would remove, stops it", () => {
  const stops = plan('docker-ce').filter((line) => line.startsWith('stop '));
  assert.deepEqual(stops, ['stop removed docker-ce', 'stop removed containerd.io']);
});

test('beside Docker, without asking for runc, nothing stops it', () => {
  assert.deepEqual(plan('docker-ce-kept'), ['new libglib2.0-0 2.74.6-2+deb12u9', 'new conmon 2.1.6+ds1-1']);
});

test('an upgrade is only said where nothing of the package runs', () => {
  const upgraded = 'upgrade openssh-server 1:9.2p1-2+deb12u7 1:9.2p1-2+deb12u10';
  assert.ok(plan('ssh').includes(upgraded));
});

test('an upgrade of a package of which a program runs stops it', () => {
  const stops = plan('ssh', { busy: 'bash openssh-server ' }).filter((line) => line.startsWith('stop '));
  assert.deepEqual(stops, ['stop restarted openssh-server']);
});

test('an upgrade of a package that restarts the services of others stops it', () => {
  const stops = plan('ssh', { touchy: 'libc6 openssh-sftp-server' }).filter((line) => line.startsWith('stop '));
  assert.deepEqual(stops, ['stop restarted openssh-sftp-server']);
});

test('what apt refuses stops it, in its own words', () => {
  assert.deepEqual(plan('unknown'), ['stop refused Unable to locate package no-such-package']);
});
