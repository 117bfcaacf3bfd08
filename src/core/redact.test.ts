import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { REDACTED, redact, redactText, redactWords } from './redact.ts';

const SECRET = 'hunter2-9Xq';

const TEXTS = [
  `postgres://app:${SECRET}@db/shop`,
  `https://${SECRET}@github.example/x.git`,
  `amqp://guest:${SECRET}@[::1]:5672/%2f`,
  `PGPASSWORD=${SECRET} psql -h db`,
  `PGPASSWORD='${SECRET} and more' psql`,
  `PGPASSWORD="${SECRET}`,
  `export STRIPE_SECRET_KEY=${SECRET}; rake`,
  `--password=${SECRET}`,
  `psql --password ${SECRET} -c x`,
  `DJANGO_SECRET_KEY: ${SECRET}`,
  `{"api_key": "${SECRET}", "x": 1}`,
  `{'password':'${SECRET}'}`,
  `https://h/?user=x&access_token=${SECRET}&y=1`,
  `curl -H "Authorization: Bearer ${SECRET}" https://h`,
  `Authorization: token ${SECRET}`,
  `Cookie: theme=dark; sid=${SECRET}`,
  `X-Api-Key: ${SECRET}`,
  `mysql -u root -p${SECRET} shop`,
  `sh -c "mysqldump -p${SECRET} shop | gzip"`,
  `sshpass -p ${SECRET} ssh host`,
  `curl -u deploy:${SECRET} https://h`,
  `redis-cli -a ${SECRET} ping`,
  `alter user app with password '${SECRET}'`,
  `create user x identified by "${SECRET}"`,
  `-----BEGIN RSA PRIVATE KEY-----\n${SECRET}\n-----END RSA PRIVATE KEY-----`,
  `-----BEGIN PRIVATE KEY-----\n${SECRET}`,
];

for (const text of TEXTS)
  test(`hides the secret of ${JSON.stringify(text)}`, () => {
    assert.ok(!redactText(text).includes(SECRET.slice(0, 7)), redactText(text));
    assert.ok(redactText(text).includes(REDACTED));
  });

const TOKENS = [
  'sk-ant-api03-AAAABBBBCCCCDDDDEEEE',
  'sk_live_4242424242424242',
  'ghp_0123456789abcdefghijABCDEFGHIJ012345',
  'github_pat_11ABCDEFG0123456789_abcdef',
  'glpat-0123456789abcdefghij',
  'xoxb-123456789012-abcdefghijkl',
  'AKIAIOSFODNN7EXAMPLE',
  'AIzaSyA0123456789abcdefghijklmnopqrstuv',
  'npm_0123456789abcdefghijABCDEFGHIJ012345',
  'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N',
];

for (const token of TOKENS)
  test(`knows the token ${token.slice(0, 12)}… by its form`, () => {
    assert.equal(redactText(`use "${token}", please`), `use "${REDACTED}", please`);
  });

test('leaves what is no secret', () => {
  for (const text of [
    'select * from tokens',
    'ls -la /app/passwords',
    'pg_ctl -D data start',
    'git commit --author Jane -m "fix the login"',
    'psql -p 5432 -c "drop table bookings"',
    'https://example.org:8080/path?page=2#top',
    'docker run -p 80:8080 -e LANG=C image:tag',
    'ssh deploy@host uptime',
  ])
    assert.equal(redactText(text), text);
});

test('what is around a secret stays, so that the log still says what was tried', () => {
  assert.equal(
    redactText(`psql postgres://app:${SECRET}@db/shop -c x`),
    `psql postgres://app:${REDACTED}@db/shop -c x`,
  );
  assert.equal(redactText(`PGPASSWORD=${SECRET} psql`), `PGPASSWORD=${REDACTED} psql`);
});

const COMMANDS: readonly (readonly string[])[] = [
  ['mysql', '--password', SECRET],
  ['env', `PGPASSWORD=${SECRET} with blanks, and "quotes" ${SECRET}`, 'psql'],
  ['/usr/bin/mysql', '-u', 'root', `-p${SECRET}`],
  ['curl', '--user', `deploy:${SECRET}`],
  ['sh', '-c', `mysql -p${SECRET}`],
  ['login', '--token', SECRET],
];

for (const words of COMMANDS)
  test(`hides the secret word of ${words.join(' ').slice(0, 60)}`, () => {
    assert.ok(!JSON.stringify(redactWords(words)).includes(SECRET), JSON.stringify(redactWords(words)));
    assert.equal(redactWords(words).length, words.length);
  });

test('a field that is declared secret is gone, and one that is not declared where its name says so', () => {
  const fields = { command: {}, code: { secret: true } };
  assert.deepEqual(redact({ command: ['ls'], code: '123456', password: 'x', ref: 'shop' }, fields), {
    command: ['ls'],
    code: REDACTED,
    password: REDACTED,
    ref: 'shop',
  });
});

test('a secret across the cut is hidden whole', () => {
  for (let before = 1990; before < 2060; before += 1) {
    const text = redactText(`${'x '.repeat(before / 2)}https://app:${SECRET}@host/${'y'.repeat(3000)}`);
    assert.ok(!text.includes(SECRET.slice(0, 4)), text.slice(-80));
    assert.ok(text.length < 2400);
  }
});

test('long lists and long words are cut, and say so', () => {
  const words = redactWords(Array.from({ length: 4096 }, () => 'y'.repeat(131_072)));
  assert.ok(JSON.stringify(words).length < 24_000);
  assert.match(String(words.at(-1)), /40\d\d more words/);
  assert.ok(redactWords(Array.from({ length: 100_000 }, () => '')).length < 3000);
});

test('whatever was sent, it is judged, and nothing else comes of it', () => {
  let deep: unknown = 'x';
  for (let depth = 0; depth < 100_000; depth += 1) deep = [deep];
  for (const input of [
    null,
    7,
    'text',
    ['list'],
    { ref: deep },
    { ref: { a: 1 } },
    JSON.parse('{"__proto__": {"secret": true}}'),
  ])
    assert.doesNotThrow(() => JSON.stringify(redact(input, { ref: {} })));
});

test('no text takes long', () => {
  const pieces = [
    'pass',
    'eyJ',
    '-',
    '=',
    ' ',
    "'",
    '"',
    '://',
    '@',
    'a',
    '.',
    'sk-',
    'mysql',
    '-p',
    ':',
    'bearer ',
    '\n',
    'password ',
  ];
  for (const piece of pieces)
    for (const other of pieces) {
      const words = Array.from({ length: 40 }, () => (piece + other).repeat(20_000));
      const started = performance.now();
      redactWords(words);
      const took = performance.now() - started;
      assert.ok(took < 250, `${JSON.stringify(piece + other)} took ${took.toFixed(0)} ms`);
    }
});

test('any text around it, a password in a URL is hidden', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 60 }), fc.string({ maxLength: 60 }), (before, after) => {
      assert.ok(!redactText(`${before} https://app:${SECRET}@host ${after}`).includes(SECRET));
    }),
  );
});

test('many long values take no longer than a few, and what comes first is kept', () => {
  const many = Object.fromEntries(Array.from({ length: 64 }, (_, at) => [`k${at}`, 'x y '.repeat(500)]));
  const lists = Object.fromEntries(Array.from({ length: 64 }, (_, at) => [`k${at}`, Array(2000).fill('x y')]));
  for (const input of [many, lists]) {
    const started = performance.now();
    const hidden = JSON.stringify(redact(input, {}));
    assert.ok(performance.now() - started < 100);
    assert.ok(hidden.length < 60_000, String(hidden.length));
  }
  const kept = redact({ command: ['psql', '-c', 'select 1'], directory: '/app', rest: 'x'.repeat(40_000) }, {});
  assert.deepEqual((kept as { command: unknown }).command, ['psql', '-c', 'select 1']);
  assert.equal((kept as { directory: unknown }).directory, '/app');
});
