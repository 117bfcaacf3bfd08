import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CHANNEL, createFrameReader, encodeFrame, FRAME_LIMIT } from './protocol.ts';

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

test('a long frame in tiny pieces costs no more than its length', () => {
  const payload = new Uint8Array(1 << 20).fill(7);
  const bytes = encodeFrame(CHANNEL.control, payload);
  const reader = createFrameReader();
  const started = performance.now();
  const frames = [];
  for (let at = 0; at < bytes.length; at += 16) frames.push(...reader.push(bytes.subarray(at, at + 16)));
  assert.ok(performance.now() - started < 1000, `${performance.now() - started} ms`);
  assert.equal(frames.length, 1);
  assert.deepEqual(frames[0]?.payload, payload);
  assert.equal(reader.rest(), 0);
});

test('a frame that was given stays as it is when more comes', () => {
  const reader = createFrameReader();
  const one = encodeFrame(CHANNEL.stdin, new Uint8Array(10).fill(1));
  const two = encodeFrame(CHANNEL.stdin, new Uint8Array(30).fill(2));
  reader.push(one.subarray(0, 8));
  const [first] = reader.push(Uint8Array.of(...one.subarray(8), ...two.subarray(0, 9)));
  const [second] = reader.push(two.subarray(9));
  reader.push(encodeFrame(CHANNEL.stdin, new Uint8Array(60).fill(3)).subarray(0, 50));
  assert.deepEqual([...(first?.payload ?? [])], Array(10).fill(1));
  assert.deepEqual([...(second?.payload ?? [])], Array(30).fill(2));
});
