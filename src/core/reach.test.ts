import assert from 'node:assert/strict';
import { test } from 'node:test';
import { judgeKernelReach, judgeReach, passwordless, type ReachFacts } from './reach.ts';

const aUser = (over: Partial<ReachFacts> = {}): ReachFacts => ({
  user: 'deploy',
  uid: 1000,
  groups: ['deploy', 'bulkhead'],
  sudo: [],
  sockets: [],
  keys: [],
  agents: [],
  app: 'shop',
  ...over,
});

test('a plain user is told that nothing was found', () => {
  assert.deepEqual(
    judgeReach(aUser()).map((finding) => finding.level),
    ['ok'],
  );
});

test('groups that are as good as root are named, with the command that ends it', () => {
  for (const group of ['docker', 'lxd', 'libvirt', 'disk']) {
    const [finding] = judgeReach(aUser({ groups: ['deploy', group] }));
    assert.equal(finding?.level, 'bad');
    assert.match(finding?.remedy ?? '', new RegExp(`^sudo gpasswd -d deploy ${group}\\b`));
  }
  assert.deepEqual(
    judgeReach(aUser({ groups: ['constructor', 'audio'] })).map((finding) => finding.level),
    ['ok'],
  );
});

test('root, an open socket, a readable key and a running agent are found', () => {
  assert.equal(judgeReach(aUser({ user: 'root', uid: 0, groups: ['docker'] }))[0]?.check, 'root');
  assert.equal(judgeReach(aUser({ sockets: [{ path: '/run/docker.sock', by: 'everybody' }] }))[0]?.level, 'bad');
  const [key] = judgeReach(aUser({ keys: ["/home/deploy/.ssh/id o'r\u001b[2J"] }));
  assert.match(key?.remedy ?? '', /^sudo chmod 600 '.*'$/);
  assert.doesNotMatch(key?.text ?? '', /\u001b/);
  assert.match(
    judgeReach(
      aUser({
        agents: [
          { title: 'Claude Code', pid: 7 },
          { title: 'Codex', pid: 8 },
        ],
      }),
    )[0]?.text ?? '',
    /^weak: Claude Code \(process 7\) and 1 more/,
  );
});

test('settings of the kernel that let a process into a shell', () => {
  const checks = (ptraceScope: number | null, legacyTiocsti: number | null, hostKeys: string[] = []) =>
    judgeKernelReach({ ptraceScope, legacyTiocsti, hostKeys }).map((finding) => finding.check);
  assert.deepEqual(checks(1, 0), []);
  assert.deepEqual(checks(0, 1), ['ptrace', 'tiocsti']);
  assert.deepEqual(checks(null, null, ['/etc/ssh/ssh_host_rsa_key']), ['ptrace', 'keys']);
});

test('commands of sudo without a password, as sudo lists them', () => {
  const listing = [
    'Matching Defaults entries for deploy on vps:',
    '    env_reset, mail_badpass, secure_path=/usr/sbin\\:/usr/bin',
    '',
    'User deploy may run the following commands on vps:',
    '    (ALL : ALL) ALL',
    '    (root) NOPASSWD: /usr/bin/systemctl restart nginx, /usr/bin/less, PASSWD: /usr/bin/vi',
    '    (ALL) NOPASSWD: SETENV: /usr/bin/rsync',
  ].join('\n');
  assert.deepEqual(passwordless(listing), ['/usr/bin/systemctl restart nginx', '/usr/bin/less', '/usr/bin/rsync']);
  assert.deepEqual(passwordless('    (ALL : ALL) NOPASSWD: ALL'), ['ALL']);
  assert.deepEqual(passwordless('User deploy is not allowed to run sudo on vps.'), []);
  assert.equal(judgeReach(aUser({ sudo: ['ALL'] }))[0]?.level, 'bad');
  assert.equal(judgeReach(aUser({ sudo: ['/usr/bin/less'] }))[0]?.level, 'warn');
});
