import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { BULKHEAD, makeTree, run } from '../builders/machine.ts';
import { attack, reachedIf, type Outcome } from './attack.ts';
import { makeStage, SECRET, type Stage } from './stage.ts';

/**
 * What an agent plants in its fork for whoever reads it as root: the file that tells what an app may, the hooks that it
 * names. The weak wall is one: root that reads them by their path, on the machine.
 */
const MACHINE_SECRET = 'machine-secret-77aa';

let stage: Stage;
let directory: string;

before(async () => {
  stage = await makeStage({ forks: ['fix'] });
  directory = await mkdtemp(path.join(os.tmpdir(), 'bulkhead-attack-'));
  await mkdir(path.join(directory, 'ops'));
  for (const name of ['secret', 'ops/up.sh', 'bulkhead.yaml'])
    await writeFile(path.join(directory, name), `${MACHINE_SECRET}\n`, { mode: 0o600 });
});
after(async () => {
  await stage?.remove();
  await rm(directory, { recursive: true });
});

const plant = async (script: string): Promise<void> => {
  const ran = await stage.agent(
    'exec',
    'shop:fix',
    '--',
    'sh',
    '-c',
    `cd /app && rm -rf bulkhead.yaml ops && mkdir ops && ${script}`,
  );
  assert.equal(ran.code, 0, ran.stderr);
};
/** What a careless root gets out of a file, within two seconds. */
async function carelessly(name: string): Promise<Outcome> {
  const ran = await run('timeout', ['2', 'head', '-c', '200000', path.join(await stage.volume('shop:fix'), name)]);
  return reachedIf(ran.stdout.includes(MACHINE_SECRET) || ran.code === 124 || ran.stdout.length >= 200_000, ran.stdout);
}
/** What the daemon says about it, and whether it answers others meanwhile. */
async function byDaemon(): Promise<Outcome> {
  const began = performance.now();
  const asked = stage.agent('config', 'diff', 'shop:fix', '--json');
  const other = await stage.machine.cli('whoami');
  const ran = await asked;
  const said = `${ran.stdout}${ran.stderr}`;
  const late = performance.now() - began > 12_000 || other.ms > 3000 || other.code !== 0;
  return reachedIf(said.includes(MACHINE_SECRET) || said.length > 100_000 || late, said.slice(0, 400));
}

/** In place of the file, or of a hook; `file`: what the careless root opens. */
const PLANTED: Record<string, { file: string; script: () => string; refused?: RegExp }> = {
  'a symlink to a file of the machine': {
    file: 'bulkhead.yaml',
    script: () => `ln -s ${directory}/secret bulkhead.yaml`,
    refused: /symlink/,
  },
  'a FIFO that nobody writes to': {
    file: 'bulkhead.yaml',
    script: () => 'mkfifo bulkhead.yaml',
    refused: /not a regular file/,
  },
  'a file of a gibibyte that holds nothing': {
    file: 'bulkhead.yaml',
    script: () => 'truncate -s 1G bulkhead.yaml',
    refused: /over the limit/,
  },
  'a hook that is a symlink': {
    file: 'ops/up.sh',
    script: () => `echo 'hooks: { up: ./ops/up.sh }' > bulkhead.yaml; ln -s ${directory}/secret ops/up.sh`,
    refused: /symlink/,
  },
  'a hook below a symlink': {
    file: 'ops/up.sh',
    script: () => `echo 'hooks: { up: ./ops/up.sh }' > bulkhead.yaml; rmdir ops; ln -s ${directory}/ops ops`,
    refused: /does not exist/,
  },
  'a hook that is a FIFO': {
    file: 'ops/up.sh',
    script: () => `echo 'hooks: { up: ./ops/up.sh }' > bulkhead.yaml; mkfifo ops/up.sh`,
    refused: /not a regular file/,
  },
  'a hook that leaves the app by ../': {
    file: `..${'/..'.repeat(8)}/tmp/x`,
    script: () => `echo 'hooks: { up: ../../../../../../../../..${directory}/secret }' > bulkhead.yaml`,
  },
  'a hook by its absolute name': {
    file: '',
    script: () => `echo 'hooks: { up: ${directory}/secret }' > bulkhead.yaml`,
  },
};
for (const [name, { file, script, refused }] of Object.entries(PLANTED))
  attack({
    name: `planted in a fork: ${name}`,
    without: 'a reader inside the cell',
    async weakened() {
      await plant(script());
      if (refused !== undefined) return carelessly(file);
      // As a careless root joins the path that the file gives to that of the app.
      const named =
        /up: (\S+)/.exec(await readFile(path.join(await stage.volume('shop:fix'), 'bulkhead.yaml'), 'utf8'))?.[1] ?? '';
      const ran = await run('cat', [
        named.startsWith('/') ? named : path.join(await stage.volume('shop:fix'), '../../../../..', named),
      ]);
      return reachedIf(ran.stdout.includes(MACHINE_SECRET), ran.stderr);
    },
    walled: byDaemon,
    ...(refused === undefined ? {} : { refused }),
  });

const BOMB = `a: &a [x,x,x,x,x,x,x,x,x]\\n${'bcdefgh'
  .split('')
  .map((name, at) => `${name}: &${name} [${`*${'abcdefgh'[at]},`.repeat(9)}x]`)
  .join('\\n')}\\n`;
const MALICIOUS: Record<string, string> = {
  'a document that grows a millionfold by its aliases': `printf '${BOMB}' > bulkhead.yaml`,
  'ten thousand brackets': `python3 -c "print('['*10000)" > bulkhead.yaml`,
  'a key named __proto__': `printf '__proto__: { start: manual }\\nhooks: { constructor: x }\\n' > bulkhead.yaml`,
  'bytes that are no text': `head -c 60000 /dev/urandom > bulkhead.yaml`,
  'a hook of a mebibyte': `echo 'hooks: { up: ./ops/up.sh }' > bulkhead.yaml; head -c 1048576 /dev/zero > ops/up.sh`,
};
for (const [name, script] of Object.entries(MALICIOUS))
  test(`a file that is ${name} is refused within seconds`, async () => {
    await plant(script);
    const began = performance.now();
    const ran = await stage.agent('config', 'diff', 'shop:fix', '--json');
    assert.match(ran.stdout, /"code":"(bad-file|not-built)"/, ran.stdout + ran.stderr);
    assert.ok(performance.now() - began < 5000);
  });

test('a file that changes into a FIFO and back while it is read never holds the daemon', async () => {
  await plant(`echo 'start: manual' > plain; mkfifo pipe; ln -s ${directory}/secret link; cp plain bulkhead.yaml`);
  const swapping = stage.agent(
    'exec',
    'shop:fix',
    '--',
    'python3',
    '-c',
    `
import os, time
end = time.time() + 4
while time.time() < end:
    for name in ('pipe', 'plain', 'link'):
        try: os.link(name, 'next', follow_symlinks=False)
        except FileExistsError: pass
        os.rename('next', 'bulkhead.yaml')
`.trim(),
  );
  for (let round = 0; round < 8; round += 1) {
    const outcome = await byDaemon();
    assert.notEqual(outcome, 'reached');
  }
  await swapping;
});

/** The content that a fork brings must never be what counts, or what runs. */
const EVIL = 'echo evil > /app/evil; exec sleep 100';
const evilFile =
  'start: always\nhooks: { up: ./ops/up.sh }\nports: ["18080:80"]\npaths: [/opt]\nlimits: { memory: 64GiB }\nfork: { egress: any, limits: { memory: 64GiB, disk: 900GiB } }\n';
const ran = async (ref: string): Promise<boolean> =>
  (await readFile(path.join(await stage.volume(ref), 'evil'), 'utf8').catch(() => '')) !== '';
const must = async (...words: string[]): Promise<string> => {
  const done = await stage.agent(...words);
  assert.equal(done.code, 0, `${words.join(' ')}: ${done.stdout}${done.stderr}${stage.machine.log()}`);
  return done.stdout;
};
const edit = (): Promise<void> =>
  plant(
    `printf '${evilFile.replaceAll('\n', '\\n')}' > bulkhead.yaml; printf '#!/bin/sh\\n${EVIL}\\n' > ops/up.sh; chmod 755 ops/up.sh; cp ops/up.sh ops/../up; rm -f evil`,
  );

/** Each brings the edited file as near to counting as its owner can. */
const BRINGING: Record<string, () => Promise<string>> = {
  'and starts it': async () => {
    await must('up', 'shop:fix');
    return 'shop:fix';
  },
  'and restarts it': async () => {
    await must('restart', 'shop:fix');
    return 'shop:fix';
  },
  'and forks the fork': async () => {
    await must('fork', 'shop:child', '--from', 'shop:fix', '--up');
    return 'shop:child';
  },
  'and removes and restores it': async () => {
    await must('rm', 'shop:fix');
    await must('trash', 'restore', 'shop:fix');
    await must('up', 'shop:fix');
    return 'shop:fix';
  },
  'and asks for it to be accepted': async () => {
    const asked = [
      await stage.agent('config', 'accept', 'shop:fix', '--code', '123456'),
      await stage.agent('config', 'accept', 'shop', '--code', '123456'),
    ];
    assert.ok(asked.every(({ code }) => code !== 0));
    await must('restart', 'shop:fix');
    return 'shop:fix';
  },
};
for (const [name, bring] of Object.entries(BRINGING))
  attack({
    name: `the accepted file: an agent edits it and its hook in a fork, ${name}`,
    without: "a person's consent: the same files, accepted",
    weakened: consented,
    async walled() {
      await edit();
      const ref = await bring();
      await new Promise((resolve) => setTimeout(resolve, 500));
      const shown = await must('ls', ref, '--json');
      return reachedIf((await ran(ref)) || /"egress":"any"|18080/.test(shown), shown);
    },
  });

attack({
  name: 'the accepted file: the fork is reset while its edit is the newer one',
  without: "a person's consent: the same files, accepted",
  weakened: consented,
  async walled() {
    await edit();
    await must('reset', 'shop:fix');
    await must('up', 'shop:fix');
    await new Promise((resolve) => setTimeout(resolve, 500));
    return reachedIf(await ran('shop:fix'), 'not run');
  },
});

attack({
  name: 'the accepted file: a hook of production that changes after it was accepted',
  without: "a person's consent: the same files, accepted",
  weakened: consented,
  async walled() {
    const { person } = stage;
    // As production itself could, once somebody is in it.
    const changed = await person.bulkhead(`exec shop -- sh -c 'printf "#!/bin/sh\\n${EVIL}\\n" > /app/ops/up.sh'`);
    assert.equal(changed.code, 0, changed.stderr);
    const restarted = await person.bulkhead('restart shop', 60_000);
    assert.equal(restarted.code, 0, restarted.stderr);
    await new Promise((resolve) => setTimeout(resolve, 500));
    return reachedIf(await ran('shop'), 'not run');
  },
});

attack({
  name: 'the accepted file: it changes between being shown and being accepted',
  without: 'the hash of what was shown',
  weakened: consented,
  async walled() {
    const { person, machine } = stage;
    const shown = JSON.parse(
      (await person.bulkhead('config diff shop --json')).stdout.trim().split('\n').at(-1) ?? '',
    ) as { result: { hash: string } };
    await person.bulkhead(`exec shop -- sh -c 'echo "#!/bin/sh" > /app/ops/up.sh'`);
    const accepted = await person.bulkhead(
      `config accept shop --hash ${shown.result.hash} --code ${await machine.code()}`,
    );
    return reachedIf(accepted.code === 0, accepted.stderr);
  },
  refused: /has changed since/,
});

let consent: Promise<Outcome> | undefined;
/** An app of its own whose file is the edited one, accepted by a person: there it runs. */
function consented(): Promise<Outcome> {
  return (consent ??= (async () => {
    const { person, machine } = stage;
    const tree = await makeTree({
      'bulkhead.yaml': 'hooks: { up: ./ops/up.sh }\n',
      'ops/up.sh': `#!/bin/sh\n${EVIL}\n`,
    });
    for (const line of [
      `create toy --from ${tree} </dev/null`,
      `config accept toy --code ${await machine.code()}`,
      'up toy',
    ])
      assert.equal((await person.run(`${BULKHEAD} ${line}`)).code, 0, `${line}: ${machine.log()}`);
    await rm(tree, { recursive: true });
    await new Promise((resolve) => setTimeout(resolve, 300));
    return reachedIf(await ran('toy'), 'not run');
  })());
}

test('production is what it was', async () => {
  const { secret, missed } = await stage.production();
  assert.deepEqual({ secret, missed }, { secret: SECRET, missed: false });
});
