import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DaemonModel, type Act, type Trouble } from '../../test/builders/daemon-model.ts';

/**
 * Whatever is asked, in whatever order, whatever fails in the middle of it and wherever the daemon is killed: the
 * invariants of docs/design/invariants.md hold. FC_RUNS=500 looks longer.
 */
const RUNS = Number(process.env['FC_RUNS'] ?? 25);

const which = fc.nat(7);
const at = <K extends Act['do']>(act: K) => fc.record({ do: fc.constant(act), which });
const act: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant('fork' as const), which, up: fc.boolean(), again: fc.boolean() }),
  },
  { weight: 3, arbitrary: at('rm') },
  { weight: 3, arbitrary: at('reset') },
  { weight: 2, arbitrary: at('restore') },
  { weight: 1, arbitrary: at('purge') },
  { weight: 2, arbitrary: at('up') },
  { weight: 1, arbitrary: at('down') },
  { weight: 1, arbitrary: at('restart') },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('write' as const), which, mib: fc.integer({ min: 1, max: 60 }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('change' as const), mib: fc.integer({ min: 1, max: 300 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('wait' as const), hours: fc.constantFrom(0.02, 1, 25, 200) }) },
  { weight: 1, arbitrary: fc.constant<Act>({ do: 'reboot' }) },
);
/** Nothing, a step that fails once or for long, or the end of the daemon at one of its places. */
const trouble: fc.Arbitrary<Trouble> = fc.oneof(
  { weight: 5, arbitrary: fc.constant<Trouble>({}) },
  {
    weight: 2,
    arbitrary: fc.record({ fail: fc.record({ call: fc.nat(6), times: fc.constantFrom(1, 1, 4), late: fc.boolean() }) }),
  },
  { weight: 2, arbitrary: fc.record({ kill: fc.nat(14) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      fail: fc.record({ call: fc.nat(6), times: fc.constantFrom(1, 4), late: fc.boolean() }),
      kill: fc.nat(20),
    }),
  },
  { weight: 1, arbitrary: fc.record({ hook: fc.constantFrom('up', 'health', 'down', 'prepare', 'cleanup') }) },
);

test('whatever is asked and whatever fails, nothing is lost, half-made or left behind', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(act, trouble), { minLength: 1, maxLength: 16, size: 'max' }), async (acts) => {
      const model = await DaemonModel.make();
      try {
        for (const [one, with_] of acts) {
          await model.perform(one, with_);
          await model.check();
        }
        await model.checkWhole();
      } finally {
        await model.remove();
      }
    }),
    { numRuns: RUNS, interruptAfterTimeLimit: 120_000, markInterruptAsFailure: true },
  );
});

test('the model bites: content that changes past the daemon is seen', async () => {
  const model = await DaemonModel.make();
  await model.perform({ do: 'fork', which: 0, up: false, again: false }, {});
  await model.check();
  await model.daemon.volumes.put({ area: 'live', id: model.daemon.id('shop:b') }, 'data', Buffer.from('else'));
  await assert.rejects(model.check(), /shop:b holds/);
  await model.remove();
});
