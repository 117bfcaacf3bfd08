import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ObservedProcess } from './recognise.ts';
import { SIGN_IN_LASTS, signInObstacle, terminalName, uncoveredBecause, type Lineage, type SignIn } from './sign-in.ts';

const TTY = 0x8803;
const PROGRAM = { exe: '/usr/bin/node', script: '/opt/bulkhead/dist/bulkhead.cjs' };

const shell: ObservedProcess = {
  pid: 500,
  ppid: 400,
  group: 500,
  session: 500,
  tty: TTY,
  foreground: 700,
  started: 1000,
  image: 'a b c',
  uids: [1000, 1000, 1000, 1000],
  comm: 'bash',
  exe: '/usr/bin/bash',
  argv: ['-bash'],
  environment: [],
  readable: true,
};
const self: ObservedProcess = {
  ...shell,
  pid: 700,
  ppid: 500,
  group: 700,
  started: 60_000,
  image: 'd e f',
  comm: 'MainThread',
  exe: PROGRAM.exe,
  argv: ['node', PROGRAM.script, 'ls'],
};
const signIn: SignIn = {
  person: 'deploy',
  uid: 1000,
  tty: TTY,
  shell: { pid: 500, started: 1000, image: 'a b c' },
  at: 50_000,
  ends: 50_000 + SIGN_IN_LASTS,
  until: 0,
};
const lineage = (
  own: Partial<ObservedProcess> = {},
  parent: Partial<ObservedProcess> = {},
  more: Partial<Lineage> = {},
): Lineage => ({
  self: { ...self, ...own },
  ancestors: [{ ...shell, ...parent }],
  complete: true,
  nested: false,
  ...more,
});
const cover = (of: Lineage, more: Partial<Parameters<typeof uncoveredBecause>[2]> = {}): string | null =>
  uncoveredBecause(signIn, of, { now: 61_000, connected: 60_100, known: false, program: PROGRAM, ...more });

test('what is typed into the shell is covered', () => {
  assert.equal(signInObstacle(lineage()), null);
  assert.equal(cover(lineage()), null);
});

const UNCOVERED: [what: string, of: Lineage, says: RegExp][] = [
  ['another terminal', lineage({ tty: TTY + 1 }), /another terminal/],
  ['a child of a script', lineage({ ppid: 600 }, { pid: 600 }), /not what bash \(process 600\) starts/],
  ['another process with the shell’s number', lineage({}, { started: 1010 }), /not what/],
  ['a shell that became something else', lineage({}, { image: 'x' }), /has become/],
  ['another user', lineage({ uids: [1001, 1001, 1001, 1001] }), /another user/],
  ['a set-user-id program', lineage({ uids: [1000, 0, 0, 0] }), /another user/],
  ['a shell of another user', lineage({}, { uids: [0, 0, 0, 0] }), /another user/],
  ['in the background', lineage({ foreground: 500 }), /background/],
  ['in the shell’s own group', lineage({ group: 500, foreground: 500 }, { foreground: 500 }), /script/],
  ['another session', lineage({ session: 700 }), /another terminal/],
  ['before the sign-in', lineage({ started: 49_990 }), /before the sign-in/],
  ['another program', lineage({ exe: '/usr/bin/curl' }), /"bulkhead" alone/],
  ['another script', lineage({ argv: ['node', '/tmp/evil.js'] }), /"bulkhead" alone/],
  ['node with options', lineage({ argv: ['node', '--require=/tmp/evil.js', PROGRAM.script] }), /"bulkhead" alone/],
  ['other code by the loader', lineage({ environment: [['LD_PRELOAD', '/tmp/evil.so']] }), /LD_PRELOAD/],
  ['other code by Node', lineage({ environment: [['NODE_OPTIONS', '-r /tmp/evil.js']] }), /NODE_OPTIONS/],
  ['unreadable itself', lineage({ readable: false }), /cannot be looked at/],
  ['an unreadable shell', lineage({}, { readable: false }), /cannot be looked at/],
  ['a line with a hole', lineage({}, {}, { complete: false }), /cannot be looked at/],
  ['a sandbox', lineage({}, {}, { nested: true }), /sandbox/],
  ['a shell with a script', lineage({}, { argv: ['bash', 'deploy.sh'] }), /script/],
  ['a shell with a command', lineage({}, { argv: ['bash', '-lc', 'set -m; bulkhead up shop'] }), /script/],
  ['no parent', lineage({}, {}, { ancestors: [] }), /cannot be looked at/],
];

for (const [what, of, says] of UNCOVERED)
  test(`not covered: ${what}`, () => assert.match(cover(of) ?? 'covered', says));

test('not covered: after its end, and connected long after the start', () => {
  assert.match(cover(lineage(), { now: signIn.ends }) ?? '', /over/);
  assert.match(cover(lineage(), { connected: 71_000 }) ?? '', /long after/);
  assert.equal(cover(lineage(), { connected: 71_000, known: true }), null);
});

const OBSTACLES: [what: string, of: Lineage, says: RegExp][] = [
  ['no terminal', lineage({ tty: 0 }), /no terminal/],
  [
    'sudo',
    lineage({}, { exe: '/usr/bin/sudo', argv: ['sudo', 'bulkhead', 'sign-in'] }),
    /started by sudo \(process 500\)/,
  ],
  ['a script', lineage({ group: 500 }), /script \(process 500\)/],
  ['a shell on another terminal', lineage({}, { tty: 0x8804 }), /another terminal/],
  ['a shell of another user', lineage({ uids: [0, 0, 0, 0] }), /another user \(uid 1000\)/],
  ['an agent in the place of the shell', lineage({}, { exe: '/usr/bin/node', argv: ['claude'] }), /started by node/],
];

for (const [what, of, says] of OBSTACLES)
  test(`no sign-in: ${what}`, () => assert.match(signInObstacle(of) ?? 'none', says));

test('interactive shells as they are really started', () => {
  const started = [
    ['/usr/bin/bash', '-bash'],
    ['/usr/bin/bash', 'bash', '-i'],
    ['/usr/bin/zsh', '-zsh'],
    ['/usr/bin/fish', 'fish', '-C', 'echo hi'],
    ['/usr/bin/bash', 'bash', '--init-file', '/usr/share/code/shellIntegration-bash.sh'],
    ['/usr/bin/bash', 'bash', '--norc', '-O', 'extglob'],
    ['/usr/bin/dash', '-sh'],
    ['/usr/bin/busybox', 'busybox', 'sh'],
    ['/usr/bin/zsh', '/bin/zsh', '-il'],
  ];
  for (const [exe = '', ...argv] of started)
    assert.equal(signInObstacle(lineage({}, { exe, argv })), null, argv.join(' '));
});

test('terminals by the kernel’s number', () => {
  assert.equal(terminalName(0x8803), '/dev/pts/3');
  // Minor 300: its high bits stand above the major.
  assert.equal(terminalName((1 << 20) | 0x8800 | 44), '/dev/pts/300');
  assert.equal(terminalName(0x0401), '/dev/tty1');
  assert.equal(terminalName(0x0440), '/dev/ttyS0');
});

test('any single deviation of what was seen takes the cover away', () => {
  const numbers = fc.constantFrom('group', 'session', 'tty', 'foreground');
  fc.assert(
    fc.property(numbers, fc.integer({ min: -1, max: 5000 }), (field, value) => {
      if (value === self[field]) return;
      assert.notEqual(cover(lineage({ [field]: value })), null);
    }),
  );
});
