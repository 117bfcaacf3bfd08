import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { lineDiff } from './line-diff.ts';

test('what is kept and taken away is the one text, what is kept and added the other', () => {
  const text = fc.array(fc.constantFrom('a', 'b', 'c', ''), { maxLength: 12 }).map((lines) => lines.join('\n'));
  fc.assert(
    fc.property(text, text, (before, after) => {
      const lines = lineDiff(before, after);
      const side = (mark: string): string =>
        lines
          .filter((one) => one.mark !== mark)
          .map((one) => one.text)
          .join('\n');
      assert.equal(side('+'), before);
      assert.equal(side('-'), after);
    }),
  );
});

test('a line that was added stands alone', () => {
  assert.deepEqual(
    lineDiff('#!/bin/sh\nexit 0', '#!/bin/sh\ncurl evil\nexit 0').filter((one) => one.mark !== ' '),
    [{ mark: '+', text: 'curl evil' }],
  );
});
