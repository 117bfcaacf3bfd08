import { setTimeout as delay } from 'node:timers/promises';
import { type TOTP, URI } from 'otpauth';
import { openShell, type Person } from '../builders/machine.ts';
import { ask, askAs, codeIn } from './ask.ts';
import type { Stage } from './stage.ts';

/** A person who is not root, with a phone of their own. */
export interface Enrolled {
  uid: number;
  /** A code that was not used yet. */
  code(): Promise<string>;
  /** A shell at a terminal of theirs; `signedIn`: with a sign-in. */
  terminal(signedIn: boolean): Promise<Person>;
}

/** A user that every Debian has, and that owns nothing. */
export const OTHER = { name: 'games', uid: 5 } as const;

/** Enrols that user, by the person of the stage. */
export async function enrol(stage: Stage): Promise<Enrolled> {
  const { machine, person } = stage;
  const [answer = ''] = await askAs(person, machine, [
    ask('machine.init', { person: OTHER.name }, { code: await machine.code() }),
  ]);
  const { result } = JSON.parse(answer.slice(answer.indexOf('\r\n\r\n')).trim().split('\n').at(-1) ?? '') as {
    result: { uri: string; recovery: string[] };
  };
  const totp = URI.parse(result.uri) as TOTP;
  let last = 0;
  const code = async (): Promise<string> => {
    const now = Math.floor(Date.now() / 30_000);
    const step = Math.max(last + 1, now - 1);
    if (step <= now + 1) {
      last = step;
      return totp.generate({ timestamp: step * 30_000 });
    }
    await delay(2500);
    return result.recovery.shift() ?? '';
  };
  const [confirmed = ''] = await askAs(person, machine, [ask('machine.confirm', {}, { code: await code() })]);
  if (codeIn(confirmed) !== 'result') throw new Error(`not enrolled: ${confirmed}`);
  const env = { PATH: '/usr/bin:/bin', BULKHEAD_INSTANCE: machine.instance, NO_COLOR: '1', LANG: 'C.UTF-8' };
  return {
    uid: OTHER.uid,
    code,
    async terminal(signedIn) {
      const shell = await openShell(env, code, OTHER.uid);
      const signed = signedIn ? await shell.bulkhead(`sign-in --code ${await code()}`) : undefined;
      if (signed !== undefined && signed.code !== 0) throw new Error(`sign-in: ${signed.stdout}${signed.stderr}`);
      return shell;
    },
  };
}
