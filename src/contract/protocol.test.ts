import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createFrameReader, encodeFrame, FRAME_LIMIT } from './protocol.ts';

test('frames survive however the connection cuts them', () => {
  const frame = fc.record({ channel: fc.nat(3), payload: fc.uint8Array({ maxLength: 300 }) });
  fc.assert(
    fc.property(
      fc.array(frame, { maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 64 }), { minLength: 1 }),
      (frames, cuts) => {
        const bytes = Buffer.concat(frames.map((one) => encodeFrame(one.channel, one.payload)));
        const reader = createFrameReader();
        const read: { channel: number; payload: Uint8Array }[] = [];
        for (let from = 0, cut = 0; from < bytes.length; cut += 1) {
          const to = from + (cuts[cut % cuts.length] ?? 1);
          read.push(
            ...reader.push(bytes.subarray(from, to)).map((one) => ({ ...one, payload: Uint8Array.from(one.payload) })),
          );
          from = to;
        }
        assert.deepEqual(
          read,
          frames.map((one) => ({ ...one, payload: Uint8Array.from(one.payload) })),
        );
        assert.equal(reader.rest(), 0);
      },
    ),
  );
});

test('an unknown channel, or a frame over the limit, is an error before it is read', () => {
  assert.throws(() => createFrameReader().push(Buffer.from([4, 0, 0, 0, 0])), /unknown channel 4/);
  const header = Buffer.alloc(5);
  header.writeUInt32BE(FRAME_LIMIT + 1, 1);
  assert.throws(() => createFrameReader().push(header), /over the limit/);
});
