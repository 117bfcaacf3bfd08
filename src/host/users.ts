import { readFile } from 'node:fs/promises';
import { exec } from './exec.ts';

/** Names of the machine's users; for messages and for who is enrolled. */
export interface Users {
  /** Null: the uid has no name. */
  nameOf(uid: number): Promise<string | null>;
  /** Undefined: there is no such user. */
  uidOf(name: string): Promise<number | undefined>;
}

/** Milliseconds for which an answer is good. */
const KEPT = 60_000;

/** /etc/passwd first; who is not in it may come from a directory service, which `getent` asks. */
export function createUsers(deps: { clock: () => number; passwd?: string }): Users {
  const names = new Map<number, { name: string | null; until: number }>();

  async function entries(): Promise<{ name: string; uid: number }[]> {
    const text = await readFile(deps.passwd ?? '/etc/passwd', 'utf8').catch(() => '');
    return text.split('\n').flatMap((line) => entryOf(line) ?? []);
  }

  async function ask(key: string): Promise<{ name: string; uid: number } | undefined> {
    const answer = await exec('getent', ['passwd', '--', key], { accept: [0, 1, 2], deadline: 2000 }).catch(
      () => undefined,
    );
    return entryOf(answer?.stdout.split('\n')[0] ?? '');
  }

  return {
    async nameOf(uid) {
      const kept = names.get(uid);
      if (kept !== undefined && kept.until > deps.clock()) return kept.name;
      const found = (await entries()).find((entry) => entry.uid === uid) ?? (await ask(String(uid)));
      const name = found?.uid === uid ? found.name : null;
      if (names.size > 1000) names.clear();
      names.set(uid, { name, until: deps.clock() + KEPT });
      return name;
    },
    async uidOf(name) {
      const found = (await entries()).find((entry) => entry.name === name) ?? (await ask(name));
      return found?.name === name ? found.uid : undefined;
    },
  };
}

function entryOf(line: string): { name: string; uid: number } | undefined {
  const [name, , uid] = line.split(':');
  return name === undefined || name === '' || uid === undefined || !/^\d+$/.test(uid)
    ? undefined
    : { name, uid: Number(uid) };
}
