import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { run } from '../builders/machine.ts';
import { ask, askAs, codeIn } from './ask.ts';
import { attack, REACHED, reachedIf, type Outcome } from './attack.ts';
import { craft, type Member } from './crafted-tar.ts';
import { makeStage, type Stage } from './stage.ts';

/**
 * What a person takes in with `create --from` comes from elsewhere: archives that were made to be unpacked
 * by a careless root. The weak wall is one: tar as the machine's root, with the names as they are.
 */
let stage: Stage;
let directory: string;
let outside: string;
let count = 0;

before(async () => {
  stage = await makeStage();
  directory = await mkdtemp(path.join(os.tmpdir(), 'bulkhead-attack-'));
  outside = path.join(directory, 'outside');
});
after(async () => {
  await stage?.remove();
  await rm(directory, { recursive: true });
});

/** A place of the machine's, with a file that must stay what it is. */
async function reset(): Promise<void> {
  await rm(outside, { recursive: true, force: true });
  await mkdir(outside);
  await writeFile(path.join(outside, 'victim'), 'safe');
}
async function outsideIs(): Promise<string> {
  return `${(await readdir(outside)).join(' ')}: ${await readFile(path.join(outside, 'victim'), 'utf8')}`;
}

/** Unpacks an archive the careless way; gives where. */
async function carelessly(members: readonly Member[]): Promise<string> {
  await reset();
  const [file, into] = [path.join(directory, 'careless.tar'), path.join(directory, 'careless', 'app')];
  await rm(path.dirname(into), { recursive: true, force: true });
  await mkdir(into, { recursive: true });
  await writeFile(file, craft(members));
  await run('tar', [
    '--extract',
    '--absolute-names',
    `--file=${file}`,
    `--directory=${into}`,
    '--preserve-permissions',
  ]);
  return into;
}

/** Sends it as a person does; gives the answer, and where its content lies if it was taken. */
async function upload(archive: Uint8Array): Promise<{ answer: string; at: string | undefined; ms: number }> {
  await reset();
  count += 1;
  const file = path.join(directory, 'upload.tar');
  await writeFile(file, archive);
  const began = performance.now();
  const [answer = ''] = await askAs(
    stage.person,
    stage.machine,
    [ask('app.create', { name: `a${count}`, from: 'x' }, { upload: file })],
    40,
  );
  const ms = performance.now() - began;
  if (codeIn(answer) === 'result') return { answer, at: await stage.volume(`a${count}`), ms };
  await leftNothing(`a${count}`);
  return { answer, at: undefined, ms };
}

async function leftNothing(name: string): Promise<void> {
  const { volumes } = await stage.machine.json<{ volumes: { ref: string; id: string }[] }>('ls');
  assert.ok(!volumes.some(({ ref }) => ref === name), `${name} is there`);
  const known = new Set(volumes.map(({ id }) => id));
  assert.deepEqual(
    (await readdir(path.join(stage.machine.paths.pool, 'live'))).filter((id) => !known.has(id)),
    [],
  );
}

/** Archives that try to reach a place outside of where they are unpacked. */
const ESCAPES: Record<string, () => Member[]> = {
  'an absolute name': () => [{ name: `${outside}/new`, content: 'x' }],
  'names with ../': () => [
    { name: '../outside-app', content: 'x' },
    { name: `${'../'.repeat(12)}${outside.slice(1)}/new`, content: 'x' },
  ],
  'a symlink, then a file through it': () => [
    { name: 'way', type: '2', link: outside },
    { name: 'way/new', content: 'x' },
  ],
  'a symlink of many ../, then a file through it': () => [
    { name: 'way', type: '2', link: `${'../'.repeat(12)}${outside.slice(1)}` },
    { name: 'way/new', content: 'x' },
  ],
  'two symlinks that lead out together': () => [
    { name: 'up', type: '2', link: '/' },
    { name: 'way', type: '2', link: `up${outside}` },
    { name: 'way/new', content: 'x' },
  ],
  'a symlink that is overwritten by a file': () => [
    { name: 'file', type: '2', link: `${outside}/victim` },
    { name: 'other', type: '1', link: 'file' },
    { name: 'way', type: '2', link: outside },
    { name: 'way/victim', content: 'changed' },
  ],
  'a hard link to a file outside, then its content': () => [
    { name: 'way', type: '1', link: `${outside}/victim` },
    { name: 'way', content: 'changed', mode: 0o777 },
    { name: 'new', type: '2', link: outside },
    { name: 'new/linked', type: '1', link: `${outside}/victim` },
  ],
  'a long name that a header of its own gives': () => [
    { name: '././@LongLink', type: 'L', content: `${outside}/new\0` },
    { name: 'short', content: 'x' },
  ],
  'a name that a pax header gives': () => {
    const record = ` path=${outside}/new\n`;
    const length = record.length + String(record.length + 2).length;
    return [
      { name: 'pax', type: 'x', content: `${length}${record}` },
      { name: 'short', content: 'x' },
    ];
  },
};
for (const [name, members] of Object.entries(ESCAPES))
  attack({
    name: `an archive with ${name}`,
    without: 'unpacking in the cell',
    async weakened() {
      await carelessly(members());
      return reachedIf((await outsideIs()) !== 'victim: safe', 'nothing was written outside');
    },
    async walled() {
      const { answer } = await upload(craft(members()));
      const now = await outsideIs();
      return reachedIf(now !== 'victim: safe', `${codeIn(answer)}; ${now}`);
    },
  });

const numbers = async (): Promise<number[]> => {
  const { stdout } = await run('stat', ['-c', '%Hd %Ld', stage.machine.paths.pool]);
  return stdout.trim().split(' ').map(Number);
};
const isDevice = async (at: string | undefined): Promise<Outcome> => {
  const found = at === undefined ? undefined : await stat(path.join(at, 'disk')).catch(() => undefined);
  return reachedIf(found?.isBlockDevice() === true || found?.isCharacterDevice() === true, 'no device');
};
for (const [name, type] of [
  ['a disk', '4'],
  ['a character device', '3'],
] as const)
  attack({
    name: `an archive with ${name}`,
    without: 'unpacking in the cell',
    weakened: async () => isDevice(await carelessly([{ name: 'disk', type, device: await numbers(), mode: 0o666 }])),
    walled: async () =>
      isDevice((await upload(craft([{ name: 'disk', type, device: await numbers(), mode: 0o666 }]))).at),
  });

attack({
  name: 'an archive with a set-user-id program, run by another user of the machine',
  without: "the pool's nosuid and its closed directory",
  async weakened() {
    const into = await carelessly([{ name: 'id', content: '', mode: 0o4755 }]);
    await run('sh', [
      '-c',
      'cat /usr/bin/id > "$1/id"; chmod 4755 "$1/id"; chmod 755 "$2" "$2/careless"',
      'sh',
      into,
      directory,
    ]);
    return setUser(path.join(into, 'id'));
  },
  async walled() {
    const { at } = await upload(craft([{ name: 'id', mode: 0o4755 }]));
    assert.ok(at !== undefined);
    await run('cp', ['/usr/bin/id', path.join(at, 'id')]);
    await run('chmod', ['4755', path.join(at, 'id')]);
    const closed = await setUser(path.join(at, 'id'));
    // Though the directory above were open, the mount says no as well: tried by root, who comes in, as another user.
    const through = await run('sh', [
      '-c',
      'cd "$1" && exec setpriv --reuid=61234 --regid=61234 --clear-groups ./id -u',
      'sh',
      at,
    ]);
    return closed === REACHED ? closed : reachedIf(through.stdout.trim() === '0', through.stdout + through.stderr);
  },
});

async function setUser(file: string): Promise<Outcome> {
  const ran = await run(file, ['-u'], { uid: 61_234 }).catch((error: unknown) => ({ stdout: String(error) }));
  return reachedIf(ran.stdout.trim() === '0', ran.stdout);
}

/** What is not an archive at all, or only half of one: refused, and nothing is left of it. */
const whole = (): Buffer => craft([{ name: 'file', content: 'x'.repeat(2000) }]);
const BROKEN: Record<string, () => Buffer> = {
  'no archive at all': () => Buffer.from('<html>not found</html>'.repeat(100)),
  'a broken checksum': () => Buffer.concat([Buffer.from('y'), whole().subarray(1)]),
  'an end in the middle of a file': () => whole().subarray(0, 1200),
  'a size of eight exbibytes': () => craft([{ name: 'huge', size: '777777777777', content: 'x' }]),
  'a size that is negative': () =>
    craft([
      {
        name: 'negative',
        size: '\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff',
        content: 'x',
      },
    ]),
};
for (const [name, archive] of Object.entries(BROKEN))
  test(`an upload that is ${name} is refused, and leaves nothing`, async () => {
    const { answer, ms } = await upload(archive());
    assert.equal(codeIn(answer), 'bad-archive', answer);
    assert.ok(ms < 10_000, `${ms} ms`);
  });

test('an archive of many thousand empty files is taken or refused, and the daemon answers meanwhile', async () => {
  const many = craft(Array.from({ length: 30_000 }, (_, at) => ({ name: `d${at % 100}/f${at}` })));
  const taken = upload(many);
  const times: number[] = [];
  for (let round = 0; round < 5; round += 1) {
    await new Promise((resolve) => setTimeout(resolve, 200));
    times.push((await stage.machine.cli('whoami')).ms);
  }
  const { answer } = await taken;
  assert.match(codeIn(answer), /result|bad-archive/);
  assert.ok(Math.max(...times) < 2000, times.join(' '));
});

test('names that would move a cursor are shown escaped', async () => {
  const { answer } = await upload(
    craft([
      { name: 'good', content: 'x' },
      { name: '\u001b]0;owned\u0007', type: '4', device: [7, 0] },
    ]),
  );
  assert.ok(!answer.slice(answer.indexOf('\r\n\r\n')).includes('\u001b'), answer);
});

test('production is what it was', async () => {
  assert.equal((await stage.production()).missed, false);
});
