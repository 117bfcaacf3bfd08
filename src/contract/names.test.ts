import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { AppError } from './errors.ts';
import { escapeText, formatRef, parseRef, quote } from './names.ts';

test('a ref is an app, or a fork of it', () => {
  assert.deepEqual(parseRef('shop'), { app: 'shop' });
  assert.deepEqual(parseRef('shop:fix-2'), { app: 'shop', tag: 'fix-2' });
});

for (const wrong of [
  '',
  ':',
  'Shop',
  'shop:',
  ':fix',
  'a:b:c',
  '-shop',
  'shop-',
  'sh op',
  '..',
  'shop\n',
  'ä',
  'a'.repeat(41),
  '--help',
])
  test(`${JSON.stringify(wrong.slice(0, 20))} is no ref, and the message says what is`, () => {
    assert.throws(
      () => parseRef(wrong),
      (error: unknown) => {
        assert.ok(error instanceof AppError);
        assert.equal(error.code, 'bad-name');
        assert.match(error.message, /NAME:TAG|lower-case letters/);
        return true;
      },
    );
  });

test('a ref on another machine is refused with its own code', () => {
  assert.throws(() => parseRef('vps1/shop'), { code: 'not-built' });
});

test('what is a ref survives being written and read', () => {
  const name = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$/);
  fc.assert(
    fc.property(name, fc.option(name, { nil: undefined }), (app, tag) => {
      const ref = tag === undefined ? { app } : { app, tag };
      assert.deepEqual(parseRef(formatRef(ref)), ref);
    }),
  );
});

test('nothing that moves a cursor or turns text around is shown as it is', () => {
  assert.equal(escapeText('a\u001b[31mb\u202ec\r\n'), 'a\\u001b[31mb\\u202ec\\u000d\\u000a');
  assert.ok(quote('x'.repeat(1000)).length < 100);
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 40 }), (text) => {
      // oxlint-disable-next-line no-control-regex -- these are what must be gone
      assert.doesNotMatch(escapeText(text), /[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/);
    }),
  );
});
