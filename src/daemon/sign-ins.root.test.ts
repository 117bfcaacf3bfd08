import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openIdentity, openTerminal, type Answer, type Identity } from '../../test/builders/identity.ts';

/** A uid that has no name and no processes of others. */
const UID = 61_234;

let identity: Identity;
let ask: string;
let signIn: string;

before(async () => {
  identity = await openIdentity();
  ask = `${identity.exe} ${identity.script} ${identity.file} ask`;
  signIn = `${identity.exe} ${identity.script} ${identity.file} sign-in`;
});
after(() => identity.close());

type Terminal = Awaited<ReturnType<typeof openTerminal>>;

async function signedIn(run: (terminal: Terminal) => Promise<void>, uid = UID): Promise<void> {
  const terminal = await openTerminal({ uid });
  try {
    const [answer] = await terminal.type(signIn);
    assert.match(answer?.terminal ?? JSON.stringify(answer), /^\/dev\/pts\/\d+$/);
    await run(terminal);
  } finally {
    await terminal.close();
  }
}

function lowered(answer: Answer | undefined, why: RegExp, agent: string | null = null): void {
  assert.equal(answer?.kind, 'unproven', JSON.stringify(answer));
  assert.match((answer as { uncovered?: string }).uncovered ?? '', why);
  assert.equal((answer as { agent?: string }).agent, agent);
}

test('what a person types after a sign-in is the person', () =>
  signedIn(async (terminal) => {
    const [answer] = await terminal.type(ask);
    assert.equal(answer?.kind, 'person', JSON.stringify(answer));
    assert.equal((answer as { person: string }).person, 'deploy');
    const [piped] = await terminal.type(`${ask} | cat`);
    assert.equal(piped?.kind, 'person');
    const [wrapped] = await terminal.type(`nice ${ask}`);
    assert.equal(wrapped?.kind, 'person');
  }));

test('what it starts is not', () =>
  signedIn(async (terminal) => {
    const script = identity.write('deploy.sh', `#!/bin/bash\n${ask}\ntrue\n`);
    lowered((await terminal.type(script))[0], /not what deploy\.sh|not what bash/);
    lowered((await terminal.type(`bash -c '${ask}; true'`))[0], /not what bash \(process \d+\) starts/);
    lowered((await terminal.type(`echo "$(${ask})"`))[0], /not what|script/);
    lowered((await terminal.type(`${ask} & wait`))[0], /background/);
    lowered((await terminal.type(`bash --norc -ic '${ask}; true'`))[0], /not what/);
    lowered((await terminal.type(`python3 -c "import os; os.system('${ask}')"`))[0], /not what/);
  }));

test('an agent in the signed-in shell is seen, and so is who only looks like one', () =>
  signedIn(async (terminal) => {
    lowered((await terminal.type(`CLAUDECODE=1 ${ask}`))[0], /not an agent/, 'claude-code');
    const claude = identity.disguise('/bin/bash', 'claude');
    const [below] = await terminal.type(`${claude} -c 'exec env -i ${ask}'`);
    // The exec replaced the agent itself: what is left was started by the shell, and is our program.
    assert.equal(below?.kind, 'person');
    lowered((await terminal.type(`${claude} -c '${ask}; true'`))[0], /not what claude/, 'claude-code');
    lowered((await terminal.type(`${claude} -c 'env -i ${ask}; true'`))[0], /not what claude/, 'claude-code');
    lowered((await terminal.type(`${claude} -c '(exec env -i ${ask}); true'`))[0], /not what claude/, 'claude-code');
  }));

const DOUBLE_FORK = `
import os, sys, time
if os.fork(): time.sleep(0.8); sys.exit(0)
if os.fork(): os._exit(0)
time.sleep(0.2)
os.execve(sys.argv[1], sys.argv[1:], {})
`;

test('a double fork with a cleared environment leaves the shell', () =>
  signedIn(async (terminal) => {
    const file = identity.write('double.py', DOUBLE_FORK);
    lowered((await terminal.type(`python3 ${file} ${ask}`))[0], /not what/);
    const [own] = await terminal.type(`setsid -w env -i ${ask}`);
    assert.equal(own?.kind, 'unproven');
    assert.match((own as { obstacle: string }).obstacle, /no terminal/);
  }));

test('only our program, and nothing loaded into it', () =>
  signedIn(async (terminal) => {
    const other = identity.write('other.cjs', `require('${identity.script}')`);
    lowered((await terminal.type(`${identity.exe} ${other} ${identity.file} ask`))[0], /"bulkhead" alone/);
    lowered(
      (await terminal.type(`${identity.exe} --no-warnings ${ask.slice(identity.exe.length + 1)}`))[0],
      /"bulkhead" alone/,
    );
    lowered((await terminal.type(`NODE_OPTIONS=--no-warnings ${ask}`))[0], /NODE_OPTIONS/);
    lowered((await terminal.type(`LD_PRELOAD=/dev/null ${ask}`))[0], /LD_PRELOAD/);
    const copy = identity.disguise(identity.exe, 'node');
    lowered((await terminal.type(`${copy} ${ask.slice(identity.exe.length + 1)}`))[0], /"bulkhead" alone/);
  }));

test('a shell that became another program is signed in no longer', () =>
  signedIn(async (terminal) => {
    const [inner] = await terminal.type(`exec bash --norc --noprofile -i\n${ask}`);
    lowered(inner, /has become bash/);
  }));

test('another terminal of the same user is not signed in', () =>
  signedIn(async () => {
    const other = await openTerminal({ uid: UID });
    try {
      const [answer] = await other.type(ask);
      assert.equal(answer?.kind, 'unproven');
      assert.equal((answer as { uncovered: null }).uncovered, null);
      assert.equal((answer as { obstacle: null }).obstacle, null);
    } finally {
      await other.close();
    }
  }));

test('sign-out ends it; so does the end of the shell', async () => {
  await signedIn(async (terminal) => {
    const [out] = await terminal.type(`${identity.exe} ${identity.script} ${identity.file} sign-out`);
    assert.equal(out?.ended, 1);
    assert.equal((await terminal.type(ask))[0]?.kind, 'unproven');
  });
  await signedIn(async (terminal) => {
    // A nested shell signs in for itself; its end leaves nothing behind.
    await terminal.type(`bash --norc --noprofile -i`);
    assert.match((await terminal.type(signIn))[0]?.terminal ?? '', /pts/);
    assert.equal((await terminal.type(ask))[0]?.kind, 'person');
    await terminal.type('exit');
    assert.equal((await terminal.type(ask))[0]?.kind, 'person');
  });
});

test('a program that asked at once may connect again late', () =>
  signedIn(async (terminal) => {
    const [first, second] = await terminal.type(`${ask} ask`);
    assert.deepEqual([first?.kind, second?.kind], ['person', 'person']);
  }));

test('no sign-in by a script, without a terminal, through sudo-like parents, or below an agent', async () => {
  const terminal = await openTerminal({ uid: UID });
  try {
    const script = identity.write('sign.sh', `#!/bin/bash\n${signIn}\ntrue\n`);
    assert.match((await terminal.type(script))[0]?.why ?? '', /script/);
    assert.match((await terminal.type(`setsid -w ${signIn}`))[0]?.why ?? '', /no terminal/);
    assert.match((await terminal.type(`env sh -c '${signIn}; true'`))[0]?.why ?? '', /script/);
    assert.match(
      (await terminal.type(`python3 -c "import os; os.system('exec ${signIn}')"`))[0]?.why ?? '',
      /started by python3/,
    );
    assert.match((await terminal.type(`CLAUDECODE=1 ${signIn}`))[0]?.why ?? '', /agent/);
    assert.equal((await terminal.type(ask))[0]?.kind, 'unproven');
  } finally {
    await terminal.close();
  }
});

test('a terminal that an agent opened is no person’s', async () => {
  const terminal = await openTerminal({ uid: UID, env: { CLAUDECODE: '1' } });
  try {
    assert.match((await terminal.type(signIn))[0]?.why ?? '', /agent/);
    // Cleared for the one command, the shell still shows it.
    assert.match((await terminal.type(`env -u CLAUDECODE ${signIn}`))[0]?.why ?? '', /agent/);
  } finally {
    await terminal.close();
  }
});

test('root signs in in a shell of its own', () =>
  signedIn(async (terminal) => {
    const [answer] = await terminal.type(ask);
    assert.equal(answer?.kind, 'person');
    assert.equal(answer?.uid, 0);
  }, 0));

const SIBLING = `
import ctypes, os, sys, time
# CLONE_PARENT | SIGCHLD: a child of the shell, not of this process
if ctypes.CDLL(None).syscall(56, 0x8000 | 17, 0, 0, 0, 0) == 0:
    os.execve(sys.argv[1], sys.argv[1:], {})
time.sleep(0.8)
`;

test('not seen: a program that a person started directly can take our program’s place', () =>
  signedIn(async (terminal) => {
    // docs/design/identity.md says what holds then: the point, the factor, the audit log.
    const exec = identity.write('exec.sh', `#!/bin/bash\nexec env -i ${ask}\n`);
    assert.equal((await terminal.type(exec))[0]?.kind, 'person');
    const sibling = identity.write('sibling.py', SIBLING);
    assert.equal((await terminal.type(`python3 ${sibling} ${ask}`))[0]?.kind, 'person');
  }));

test('seen: the same from one level below, where an agent’s commands run', () =>
  signedIn(async (terminal) => {
    const exec = identity.write('exec2.sh', `#!/bin/bash\nexec env -i ${ask}\n`);
    lowered((await terminal.type(`bash -c '${exec}; true'`))[0], /not what/);
    const sibling = identity.write('sibling2.py', SIBLING);
    lowered((await terminal.type(`bash -c 'python3 ${sibling} ${ask}; true'`))[0], /not what/);
  }));
