import assert from 'node:assert/strict';
import { test } from 'node:test';

/** What an attempt came to: `reached`, or what stood in the way. */
export type Outcome = string;

/** An attack got through. */
export const REACHED = 'reached';

/**
 * One attack, tried twice: against a wall that was weakened on purpose, where it must get
 * through (or it proves nothing), and against the wall as it is, where it must not.
 */
export function attack(of: {
  name: string;
  /** What is missing from the wall in the first try; stands in the test's name. */
  without: string;
  weakened: () => Promise<Outcome> | Outcome;
  walled: () => Promise<Outcome> | Outcome;
  /** How the wall must answer; the default: in any way but by giving in. */
  refused?: RegExp;
}): void {
  test(of.name, async (context) => {
    await context.test(`gets through without ${of.without}`, async (weakened) => {
      const outcome = await of.weakened();
      // A kernel without the thing: there is nothing to reach, with or without a wall.
      if (outcome.startsWith('absent')) weakened.diagnostic(outcome);
      else assert.equal(outcome, REACHED);
    });
    await context.test('is held', async () => {
      const outcome = await of.walled();
      assert.notEqual(outcome, REACHED, `"${of.name}" got through`);
      if (of.refused !== undefined) assert.match(outcome, of.refused);
    });
  });
}

/** `reached` where something is so, else what was seen instead. */
export const reachedIf = (is: boolean, otherwise: unknown): Outcome =>
  is ? REACHED : `held: ${typeof otherwise === 'string' ? otherwise : JSON.stringify(otherwise)}`;
