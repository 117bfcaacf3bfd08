import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { test } from 'node:test';
import { scratchPool } from '../../host/btrfs/scratch.ts';
import { exec } from '../../host/exec.ts';
import { checkCgroups, checkKernel, checkTools } from './machine.ts';
import { checkPool } from './pool.ts';
import { checkKernelReach, checkReach } from './reach.ts';

const NOBODY = 65_534;
const KEY = '-----BEGIN OPENSSH PRIVATE KEY-----\nnone\n-----END OPENSSH PRIVATE KEY-----\n';

function aHome(): {
  home: string;
  subject: { user: string; uid: number; gid: number; home: string };
  file: (name: string, mode: number) => void;
} {
  const home = mkdtempSync('/tmp/bulkhead-doctor-');
  chownSync(home, NOBODY, NOBODY);
  const file = (name: string, mode: number): void => {
    writeFileSync(`${home}/${name}`, KEY);
    chownSync(`${home}/${name}`, NOBODY, NOBODY);
    chmodSync(`${home}/${name}`, mode);
  };
  return { home, subject: { user: 'nobody', uid: NOBODY, gid: NOBODY, home }, file };
}

test('this machine has what the tests themselves need', async () => {
  const found = [...(await checkKernel()), ...(await checkTools())];
  assert.deepEqual(
    found.filter((finding) => finding.level === 'bad'),
    [],
  );
  assert.ok(found.some((finding) => /^runc \d/.test(finding.text)));
  assert.equal(
    (await checkCgroups()).some((finding) => finding.level === 'bad'),
    false,
  );
  assert.ok(Array.isArray(await checkKernelReach()));
});

test('a private key that others may read is found, one that they may not is not', async () => {
  const { home, subject, file } = aHome();
  mkdirSync(`${home}/.ssh`);
  file('.ssh/id_ed25519', 0o644);
  file('.ssh/id_rsa', 0o600);
  await exec('mkfifo', [`${home}/.ssh/id_waits`]);
  chmodSync(`${home}/.ssh/id_waits`, 0o666);
  const found = await checkReach(subject, { pid: null, app: 'shop' });
  const keys = found.filter((finding) => finding.check === 'keys');
  assert.deepEqual(
    keys.map((finding) => finding.remedy),
    [`sudo chmod 600 ${home}/.ssh/id_ed25519`],
  );
  rmSync(home, { recursive: true });
});

test('a planted link does not lead root to the files of others', async () => {
  const { home, subject } = aHome();
  const secret = mkdtempSync('/tmp/bulkhead-doctor-');
  chmodSync(secret, 0o700);
  writeFileSync(`${secret}/id_rsa`, KEY, { mode: 0o644 });
  symlinkSync(secret, `${home}/.ssh`);
  const found = await checkReach(subject, { pid: null, app: 'shop' });
  assert.deepEqual(
    found.filter((finding) => finding.check === 'keys'),
    [],
  );
  for (const directory of [home, secret]) rmSync(directory, { recursive: true });
});

test('an agent that runs as the user is called weak', async () => {
  const { home, subject } = aHome();
  copyFileSync('/usr/bin/sleep', `${home}/claude`);
  chmodSync(`${home}/claude`, 0o755);
  // A uid that nobody else has: the machine may have agents of its own.
  const alone = { ...subject, uid: 64_998 };
  chmodSync(home, 0o755);
  const agent = spawn(`${home}/claude`, ['30'], { uid: alone.uid, gid: alone.uid, stdio: 'ignore', env: {} });
  await once(agent, 'spawn');
  try {
    const [finding] = (await checkReach(alone, { pid: null, app: 'shop' })).filter((one) => one.check === 'agent');
    assert.equal(finding?.text, `weak: Claude Code (process ${agent.pid}) runs as nobody`);
    assert.equal(finding?.remedy?.startsWith('bulkhead fork shop:work'), true);
  } finally {
    agent.kill('SIGKILL');
    rmSync(home, { recursive: true });
  }
});

test('a pool is found healthy, and each weakening of it is found', async () => {
  const scratch = scratchPool('doctor');
  const { paths, volumes } = scratch;
  const look = async (): Promise<string[]> =>
    (await checkPool({ paths, volumes, floor: () => 1 << 20 })).flatMap((one) =>
      one.level === 'ok' ? [] : [`${one.check}: ${one.remedy}`],
    );
  mkdirSync(paths.state, { mode: 0o700 });
  try {
    assert.deepEqual(await look(), ['pool: sudo bulkhead init']);
    await volumes.make({ size: 256 << 20 }, () => {});
    assert.deepEqual(await look(), []);

    chmodSync(paths.state, 0o755);
    await exec('mount', ['-o', 'remount,suid,relatime', paths.pool]);
    const weak = await look();
    assert.equal(weak.length, 2);
    for (const line of weak) await apply(line);
    assert.deepEqual(await look(), []);
  } finally {
    await scratch.remove();
  }
});

/** What the remedy says, as the person would: all of these are `sudo PROGRAM WORDS`, joined by semicolons. */
async function apply(line: string): Promise<void> {
  for (const command of line.slice(line.indexOf(':') + 1).split(';')) {
    const [sudo, program = '', ...words] = command.trim().split(' ');
    assert.equal(sudo, 'sudo');
    await exec(program, words);
  }
}
