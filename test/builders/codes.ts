import { setTimeout as delay } from 'node:timers/promises';
import { URI, type TOTP } from 'otpauth';

/** Codes of second factors, each good once. */
export interface Codes {
  add(uri: string, recovery: readonly string[]): void;
  /** A code of the one that was added last. */
  newest(): string;
  next(): Promise<string>;
}

/**
 * Codes as phones make them (RFC 6238): the steps before, now and after are taken, each once and in order.
 * Where the phones have none left, recovery codes: one is taken every two seconds.
 */
export function createCodes(): Codes {
  const phones: { totp: TOTP; last: number }[] = [];
  const paper: string[] = [];
  let paperAfter = 0;
  const take = (phone: { totp: TOTP; last: number }): string | undefined => {
    const now = Math.floor(Date.now() / 30_000);
    // The step before is taken while the present one is young: it must still be good when it is typed.
    const young = Date.now() % 30_000 < 15_000;
    const step = Math.max(phone.last + 1, young ? now - 1 : now);
    if (step > now + 1) return undefined;
    phone.last = step;
    return phone.totp.generate({ timestamp: step * 30_000 });
  };
  return {
    add(uri, recovery) {
      phones.push({ totp: URI.parse(uri) as TOTP, last: 0 });
      paper.push(...recovery);
    },
    newest: () => take(phones.at(-1) as { totp: TOTP; last: number }) ?? '',
    async next() {
      for (;;) {
        for (const phone of phones) {
          const code = take(phone);
          if (code !== undefined) return code;
        }
        if (Date.now() >= paperAfter && paper.length > 0) {
          // More than the two seconds, since nobody knows when the code will be used.
          paperAfter = Date.now() + 4000;
          return paper.shift() ?? '';
        }
        await delay(200);
      }
    },
  };
}
