// The phone of the demo's person: codes of the second factor, each used once.

import { setTimeout as wait } from 'node:timers/promises';
import { HOTP, Secret, TOTP } from 'otpauth';

const PERIOD = 30;
const DIGITS = 6;
/** Seconds of a time step that must be left, so that a code is still good when it arrives. */
const LEFT = 4;

/**
 * Codes from the secret that `init` showed. The daemon takes a code of the step before, now and
 * after, and none twice: so three may follow each other, and a fourth waits for the clock.
 */
export function createPhone(base32: string): () => Promise<string> {
  const secret = Secret.fromBase32(base32);
  let last = 0;
  return async () => {
    for (;;) {
      const now = TOTP.counter({ period: PERIOD });
      const counter = Math.max(last + 1, now - 1);
      const left = PERIOD - ((Date.now() / 1000) % PERIOD);
      // The step before is the first to be too old.
      if (counter <= now + 1 && (counter >= now || left > LEFT)) {
        last = counter;
        return HOTP.generate({ secret, counter, digits: DIGITS });
      }
      await wait(200);
    }
  };
}
