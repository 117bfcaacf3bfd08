import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Id } from '../core/ids.ts';
import { askBy, openIdentity, type Answer, type Identity } from '../../test/builders/identity.ts';

const UID = 61_234;
const CELL = '33333333-3333-4333-8333-333333333333' as Id;
/** Of the last region of cells' ids: no instance takes it early. */
const ID_BASE = 0x7ff0_0000;

let identity: Identity;
let ask: string[];
before(async () => {
  identity = await openIdentity();
  ask = [identity.exe, identity.script, identity.file, 'ask'];
});
after(() => identity.close());

/** What an unproven caller says of itself; the fields of the others are absent. */
type Unproven = Answer & {
  agent?: string | null;
  obstacle?: string | null;
  override?: { pid: number; agentPid: number | null } | null;
};
const one = (answers: Answer[]): Unproven => answers[0] as Unproven;

test('a process without a terminal is unproven, under its uid and name', async () => {
  const caller = one(await askBy(ask, { uid: UID }));
  assert.equal(caller.kind, 'unproven');
  assert.equal(caller.uid, UID);
  assert.equal((caller as { user: string }).user, `user-${UID}`);
  assert.match(caller.obstacle ?? '', /no terminal/);
});

test('markers of the caller and of its ancestors are seen', async () => {
  assert.equal(one(await askBy(ask, { env: { CLAUDECODE: '1' } })).agent, 'claude-code');
  assert.equal(
    one(await askBy(['/bin/sh', '-c', `env -u CLAUDECODE ${ask.join(' ')}; true`], { env: { CLAUDECODE: '1' } })).agent,
    'claude-code',
  );
});

test('exec with a cleaned environment: the program above is seen all the same', async () => {
  const codex = identity.disguise('/bin/bash', 'codex');
  const inner = `CODEX_CI=1 bash -c "exec env -u CODEX_CI ${ask.join(' ')}"; true`;
  const caller = one(await askBy([codex, '-c', inner]));
  assert.equal(caller.agent, 'codex');
  assert.ok(caller.evidence?.some((fact) => /process \d+ is codex/.test(fact)));
  const renamed = one(await askBy(['/bin/bash', '-c', `(exec -a sshd ${codex} -c '${ask.join(' ')}; true')`]));
  assert.equal(renamed.agent, 'codex');
});

const OVERWRITE = `
import ctypes, os, sys
libc = ctypes.CDLL(None)
start, stop = [int(x) for x in open('/proc/self/stat').read().rsplit(')', 1)[1].split()[47:49]]
ctypes.memset(start, 0, stop - start)
assert b'CLAUDE' not in open('/proc/self/environ', 'rb').read()
os.spawnve(os.P_WAIT, sys.argv[1], sys.argv[1:], {})
`;

test('an overwritten environment block hides the marker, not the program above', async () => {
  const file = identity.write('overwrite.py', OVERWRITE);
  const direct = one(await askBy(['env', 'CLAUDECODE=1', 'python3', file, ...ask]));
  assert.equal(direct.agent, null);
  assert.equal(direct.kind, 'unproven');
  const claude = identity.disguise('/bin/bash', 'claude');
  const below = one(
    await askBy([claude, '-c', `python3 ${file} ${ask.join(' ')}; true`], { env: { CLAUDECODE: '1' } }),
  );
  assert.equal(below.agent, 'claude-code');
});

test('setsid -f env -i: nothing is seen, and the caller has no more for it', async () => {
  const caller = one(
    await askBy(['/bin/bash', '-c', `setsid -f env -i ${ask.join(' ')}; sleep 0.5`], { env: { CLAUDECODE: '1' } }),
  );
  assert.equal(caller.kind, 'unproven');
});

const CONNECT = `
import os, socket, sys, time
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.set_inheritable(True)
def ask():
    s.sendall(b'ask\\n'); print('ANSWER ' + s.makefile().readline(), flush=True)
`;

test('connect, then exec: each request sees what the process is then', async () => {
  const rest = identity.write(
    'rest.py',
    `
import socket, sys
s = socket.socket(fileno=int(sys.argv[1]))
s.sendall(b'ask\\n'); print('ANSWER ' + s.makefile().readline(), flush=True)
`,
  );
  const file = identity.write(
    'exec.py',
    `${CONNECT}
ask()
os.execve(sys.executable, ['python3', '${rest}', str(s.fileno())], {'CLAUDECODE': '1'})
`,
  );
  const [before_, after_] = (await askBy(['python3', file, identity.file])) as Unproven[];
  assert.equal(before_?.agent, null);
  assert.equal(after_?.agent, 'claude-code');
});

test('a connection whose maker is gone is nobody’s', async () => {
  const file = identity.write(
    'pass.py',
    `${CONNECT}
if os.fork(): os._exit(0)
time.sleep(0.3)
ask()
`,
  );
  const caller = one(await askBy(['/bin/sh', '-c', `python3 ${file} ${identity.file}; sleep 0.8`]));
  assert.match(caller.error ?? '', /is gone/);
});

test('a connection that was passed on speaks for who made it', async () => {
  const file = identity.write(
    'give.py',
    `${CONNECT}
if os.fork() == 0:
    os.setresuid(${UID}, ${UID}, ${UID})
    os.execve(sys.executable, ['python3', '-c', 'import socket\\ns=socket.socket(fileno=%d)\\ns.sendall(b"ask\\\\n")\\nprint("ANSWER "+s.makefile().readline())' % s.fileno()], {'GEMINI_CLI': '1'})
time.sleep(1)
`,
  );
  const caller = one(await askBy(['python3', file, identity.file]));
  assert.equal(caller.uid, 0);
  assert.equal(caller.kind, 'unproven');
});

test('the override is told with the process that set it', async () => {
  const claude = identity.disguise('/bin/bash', 'claude');
  const inner = `BULKHEAD_ALLOW_PRODUCTION=shop bash -c '${ask.join(' ')}; true'; true`;
  const caller = one(await askBy([claude, '-c', inner]));
  assert.ok(caller.override !== null && caller.override !== undefined);
  assert.ok(caller.override.agentPid !== null && caller.override.agentPid < caller.override.pid);
  assert.equal(caller.agent, 'claude-code');
});

const INJECT = `
import os, re, sys
pid = int(sys.argv[1])
start, stop = [int(x) for x in open(f'/proc/{pid}/stat').read().rsplit(')', 1)[1].split()[47:49]]
with open(f'/proc/{pid}/mem', 'r+b', buffering=0) as memory:
    memory.seek(start); block = memory.read(stop - start)
    memory.seek(start + block.index(b'PADDING=')); memory.write(b'BULKHEAD_ALLOW_PRODUCTION=shop\\0')
`;

test('the override written into the shell above the agent looks as if it was set there, and opens nothing', async () => {
  const claude = identity.disguise('/bin/bash', 'claude');
  const inject = identity.write('inject.py', INJECT);
  const agent = `${claude} -c "python3 ${inject} $$; ${ask.join(' ')}; true"; true`;
  const caller = one(await askBy(['/bin/bash', '-c', agent], { env: { PADDING: 'x'.repeat(60) } }));
  assert.equal(caller.kind, 'unproven');
  assert.equal(caller.agent, 'claude-code');
  // Indistinguishable from a person's: that is why the variable is nobody's permission.
  assert.equal(caller.override?.agentPid, null);
});

const LEADERLESS = `
import ctypes, os, socket, sys, threading, time
def run():
    time.sleep(0.2)
    s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(b'ask\\n')
    print('ANSWER ' + s.makefile().readline(), flush=True)
    os._exit(0)
threading.Thread(target=run).start()
ctypes.CDLL(None).syscall(60, 0)
`;

test('a process whose main thread has ended cannot be looked at', async () => {
  const file = identity.write('leaderless.py', LEADERLESS);
  const caller = one(await askBy(['python3', file, identity.file], { env: { CLAUDECODE: '1' } }));
  assert.equal(caller.kind, 'unproven');
  assert.match(caller.obstacle ?? '', /cannot be looked at/);
});

test('an environment too large to read is unreadable, not empty', async () => {
  const big = { A: 'x'.repeat(100_000), B: 'x'.repeat(100_000), CLAUDECODE: '1' };
  const caller = one(await askBy(ask, { env: big }));
  assert.ok(caller.evidence?.some((fact) => /could not be read/.test(fact)));
  assert.match(caller.obstacle ?? '', /cannot be looked at/);
});

test('a process of a cell or container gets no answer from the machine’s socket', async () => {
  const nested = one(await askBy(['unshare', '-p', '-f', '--mount-proc', ...ask]));
  assert.match(nested.error ?? '', /cell, container or sandbox/);
  const cellUser = one(await askBy(ask, { uid: ID_BASE + 1000 }));
  assert.match(cellUser.error ?? '', /cell, container or sandbox/);
});

test('a cell’s socket answers the processes of that cell alone', async () => {
  const cell = await openIdentity({ channel: 'cell', cell: CELL, idBase: ID_BASE });
  try {
    const command = [cell.exe, cell.script, cell.file, 'ask'];
    const inside = (uid: number): string[] => [
      'unshare',
      '-p',
      '-f',
      '--mount-proc',
      'setpriv',
      `--reuid=${uid}`,
      `--regid=${uid}`,
      '--clear-groups',
      ...command,
    ];
    const caller = one(await askBy(inside(ID_BASE + 1000))) as { kind?: string; cell?: string };
    assert.deepEqual([caller.kind, caller.cell], ['cell', CELL]);
    assert.equal(one(await askBy(inside(ID_BASE))).kind, 'cell');
    assert.equal(one(await askBy(inside(ID_BASE + 65_535))).kind, 'cell');
    for (const uid of [ID_BASE - 1, ID_BASE + 65_536, 0, UID])
      assert.match(one(await askBy(inside(uid))).error ?? '', /not one of the cell/, String(uid));
    assert.match(one(await askBy(command, { uid: ID_BASE + 1000 })).error ?? '', /not one of the cell/);
  } finally {
    cell.close();
  }
});
