import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { HOTP, Secret, TOTP } from 'otpauth';
import { AppError } from '../contract/errors.ts';
import { quote } from '../contract/names.ts';

/** A person's second factor, as it is kept: readable by root only. */
export interface FactorRecord {
  person: string;
  uid: number;
  /** base32, 20 bytes (RFC 4226, section 4). */
  secret: string;
  /** False until a first code has come back from the phone; it is good for nothing before. */
  confirmed: boolean;
  /** Time step of the last code that was taken; an equal or earlier one is a replay. */
  lastCounter: number;
  /** Wrong codes since the last right one. */
  failures: number;
  /** Milliseconds since 1970; 0: not locked. */
  lockedUntil: number;
  /** base64, shared by the hashes of this person's recovery codes. */
  recoverySalt: string;
  /** scrypt, base64; one that was used is gone. */
  recovery: readonly string[];
}

/** Where factors are kept. `put` is on the disk when it returns. */
export interface FactorStore {
  list(): FactorRecord[];
  put(record: FactorRecord): void;
}

/** The second factors of persons: TOTP (RFC 6238) on another device, and recovery codes on paper. */
export interface Factors {
  /** True once a person has confirmed a factor; before, the daemon answers root alone. */
  enrolled(): boolean;
  /** Makes a factor that counts once it is confirmed; repeating it before makes a new one. Throws `exists` afterwards. */
  enrol(person: string, uid: number): Promise<{ person: string; uri: string; recovery: string[] }>;
  /** Takes the first code from the phone. Throws as `check`. */
  confirm(code: string): Promise<string>;
  /** Whose factor a code is, and may be used by that uid. Throws `factor-wrong`, `too-many` or `refused`. */
  check(uid: number, code: string): Promise<string>;
}

/** Seconds of a time step; steps before and after now that are taken, for clocks that differ. */
const PERIOD = 30;
const WINDOW = 1;
const DIGITS = 6;
const SECRET_BYTES = 20;
const RECOVERY_CODES = 10;
/** Wrong codes that are free; then a lock that doubles with each further one, up to an hour. */
const FREE_FAILURES = 5;
const LOCK = 5 * 60_000;
const LONGEST_LOCK = 60 * 60_000;
/** Milliseconds between two tries of a recovery code: hashing one is meant to cost. */
const RECOVERY_PAUSE = 2000;
/** Without what looks like another: no 0, 1, 8, 9, i, l, o, u. */
const LETTERS = '234567abcdefghjkmnpqrstvwxyz';

/** `machine` is the name that the phone shows beside the person's. */
export function createFactors(deps: {
  store: FactorStore;
  clock: () => number;
  machine: string;
  random?: (bytes: number) => Buffer;
  /** scrypt's N for recovery codes. */
  cost?: number;
}): Factors {
  const { store, clock } = deps;
  const random = deps.random ?? randomBytes;
  const cost = deps.cost ?? COST;
  const inTurn = createTurns();
  let recoveryAfter = 0;

  async function attempt(records: readonly FactorRecord[], code: string): Promise<FactorRecord> {
    const typed = tidy(code);
    return typed.length === RECOVERY_LENGTH ? byRecovery(records, typed) : byCode(records, sixDigits(typed));
  }

  function byCode(records: readonly FactorRecord[], typed: string): FactorRecord {
    const open = records.filter((record) => record.lockedUntil <= clock());
    if (open.length === 0)
      throw locked(
        Math.min(...records.map((record) => record.lockedUntil)) - clock(),
        'A recovery code is taken meanwhile.',
      );
    const now = TOTP.counter({ period: PERIOD, timestamp: clock() });
    let replayed = false;
    for (const record of open) {
      const counter = counterOf(record, typed, now);
      if (counter === undefined) continue;
      if (counter > record.lastCounter) return success({ ...record, lastCounter: counter });
      replayed = true;
    }
    if (replayed) throw wrong('This code was used before', 'Wait for the next one.');
    for (const record of open) fail(record);
    throw wrong(
      'The code is wrong or old',
      'Codes follow the clock: see that those of the phone and of this machine are right.',
    );
  }

  /** Also while TOTP is locked: 48 random bits are not guessed, and whoever shares a uid can lock by guessing. */
  async function byRecovery(records: readonly FactorRecord[], typed: string): Promise<FactorRecord> {
    if (clock() < recoveryAfter)
      throw locked(recoveryAfter - clock(), 'A recovery code is tried every two seconds at the most.');
    recoveryAfter = clock() + RECOVERY_PAUSE;
    for (const record of records) {
      const hash = await hashOf(typed, record.recoverySalt, cost);
      const left = record.recovery.filter((kept) => !timingSafeEqual(Buffer.from(kept, 'base64'), hash));
      if (left.length < record.recovery.length) return success({ ...record, recovery: left });
    }
    throw wrong('This recovery code is wrong or was used before');
  }

  function success(record: FactorRecord): FactorRecord {
    const clean = { ...record, failures: 0, lockedUntil: 0 };
    store.put(clean);
    return clean;
  }

  function fail(record: FactorRecord): void {
    const failures = record.failures + 1;
    const lock = Math.min(LONGEST_LOCK, LOCK * 2 ** (failures - FREE_FAILURES));
    store.put({ ...record, failures, lockedUntil: failures < FREE_FAILURES ? 0 : clock() + lock });
  }

  return {
    enrolled: () => store.list().some((record) => record.confirmed),
    enrol: (person, uid) =>
      inTurn(async () => {
        if (store.list().some((record) => record.confirmed && record.person === person))
          throw new AppError('exists', `A factor is enrolled for ${quote(person)} already`, {
            next: ['bulkhead sign-in'],
          });
        const secret = new Secret({ buffer: new Uint8Array(random(SECRET_BYTES)).buffer });
        const salt = random(16).toString('base64');
        const codes = Array.from({ length: RECOVERY_CODES }, () => recoveryCode(random));
        const recovery = await Promise.all(
          codes.map(async (code) => (await hashOf(code, salt, cost)).toString('base64')),
        );
        store.put({
          person,
          uid,
          secret: secret.base32,
          confirmed: false,
          lastCounter: 0,
          failures: 0,
          lockedUntil: 0,
          recoverySalt: salt,
          recovery,
        });
        const totp = new TOTP({
          issuer: 'Bulkhead',
          label: `${person}@${deps.machine}`,
          secret,
          digits: DIGITS,
          period: PERIOD,
        });
        return { person, uri: totp.toString(), recovery: codes.map((code) => `${code.slice(0, 5)}-${code.slice(5)}`) };
      }),
    confirm: (code) =>
      inTurn(async () => {
        const waiting = store.list().filter((record) => !record.confirmed);
        if (waiting.length === 0)
          throw new AppError('wrong-state', 'No factor waits for its first code', { next: ['sudo bulkhead init'] });
        // A recovery code would not show that the phone has the secret.
        const record = byCode(waiting, sixDigits(code));
        store.put({ ...record, confirmed: true });
        return record.person;
      }),
    check: (uid, code) =>
      inTurn(async () => {
        // Root may use anyone's: it could read the secret. It is recorded as that person.
        const usable = store.list().filter((record) => record.confirmed && (uid === 0 || record.uid === uid));
        if (usable.length === 0)
          throw new AppError('refused', `No factor is enrolled for uid ${uid}`, {
            why: 'A person uses the factor of their own user; root uses that of a person.',
            next: ['bulkhead whoami'],
          });
        return (await attempt(usable, code)).person;
      }),
  };
}

/** People type codes in groups. */
const tidy = (code: string): string => code.replace(/[\s-]/g, '').toLowerCase();

function sixDigits(code: string): string {
  const typed = tidy(code);
  if (/^\d{6}$/.test(typed)) return typed;
  throw wrong(
    'A code has six digits',
    'A recovery code, ten letters and digits, is taken as well where a factor is enrolled.',
  );
}

/** The latest time step near `now` that a code belongs to; every step is compared, in constant time. */
function counterOf(record: FactorRecord, typed: string, now: number): number | undefined {
  const secret = Secret.fromBase32(record.secret);
  let found: number | undefined;
  for (let counter = now - WINDOW; counter <= now + WINDOW; counter += 1) {
    const code = HOTP.generate({ secret, counter, digits: DIGITS });
    if (timingSafeEqual(Buffer.from(code), Buffer.from(typed))) found = counter;
  }
  return found;
}

const RECOVERY_LENGTH = 10;

/** 48 bits and more; a byte past the last whole round of letters is drawn again, so that all are equally likely. */
function recoveryCode(random: (bytes: number) => Buffer): string {
  const fair = 256 - (256 % LETTERS.length);
  let code = '';
  while (code.length < RECOVERY_LENGTH) {
    const byte = random(1)[0] ?? 255;
    if (byte < fair) code += LETTERS[byte % LETTERS.length];
  }
  return code;
}

/** scrypt's usual cost: 16 MiB, some 40 ms on a thread of libuv's pool. */
const COST = 2 ** 14;

const hashOf = (code: string, salt: string, cost: number): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    scrypt(code, Buffer.from(salt, 'base64'), 32, { N: cost, r: 8, p: 1 }, (error, key) =>
      error === null ? resolve(key) : reject(error),
    );
  });

/** Runs one after the other: two tries at once must not see the same count of failures. */
function createTurns(): <T>(run: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (run) => {
    const turn = last.then(run, run);
    last = turn.catch(() => {});
    return turn;
  };
}

const wrong = (message: string, why?: string): AppError => new AppError('factor-wrong', message, { why });

function locked(ms: number, why: string): AppError {
  const seconds = Math.max(1, Math.ceil(ms / 1000));
  const wait = seconds < 120 ? `${seconds} s` : `${Math.ceil(seconds / 60)} min`;
  return new AppError('too-many', `Too many codes: the next one is taken in ${wait}`, { why });
}
