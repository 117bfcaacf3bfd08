import assert from 'node:assert/strict';
import { test } from 'node:test';
import { REDACTED, redact, redactText } from './redact.ts';

const HIDDEN = [
  ['postgres://app:hunter2@db/shop', 'hunter2'],
  ['PGPASSWORD=hunter2 psql', 'hunter2'],
  ['--password=hunter2', 'hunter2'],
  ['curl -H "Authorization: Bearer abcdefgh12345678"', 'abcdefgh12345678'],
  ['export STRIPE_SECRET_KEY=sk_live_4242424242424242', 'sk_live_4242424242424242'],
  ['{"api_key": "0123456789abcdef"}', '0123456789abcdef'],
  ['https://h/?token=abcdef123', 'abcdef123'],
] as const;

for (const [text, secret] of HIDDEN)
  test(`hides the secret of ${text}`, () => {
    assert.ok(!redactText(text).includes(secret), redactText(text));
  });

test('leaves what is no secret', () => {
  for (const text of ['select * from tokens', 'ls -la /app/passwords', 'pg_ctl -D data start']) assert.equal(redactText(text), text);
});

test('hides the word after a flag, and what a field declares', () => {
  const fields = { command: {}, code: { secret: true } };
  assert.deepEqual(redact({ command: ['mysql', '--password', 'hunter2'], code: '123456' }, fields), {
    command: ['mysql', '--password', REDACTED],
    code: REDACTED,
  });
});
