import type { AppFile } from '../contract/app-file.ts';
import type { Id } from '../core/ids.ts';
import type { Steps } from '../core/steps.ts';
import type { Db } from './db.ts';

/** The copy of an app's bulkhead.yaml that a person accepted, hooks by their content. */
export interface AcceptedFile {
  file: AppFile;
  hooks: Record<string, string>;
  hash: string;
  by: string;
  at: number;
}

export interface AcceptedFiles {
  /** Of an app, or the one that a fork inherited. */
  get(id: Id): AcceptedFile | undefined;
  put(args: Steps['record.accept']): void;
  /** Gives a new fork the copy of what it was made from. */
  inherit(from: Id, to: Id): void;
}

export function createAcceptedFiles(db: Db): AcceptedFiles {
  const insert = `insert into accepted (id, file, hooks, hash, by, at)`;
  const replace = `on conflict (id) do update set file = excluded.file, hooks = excluded.hooks, hash = excluded.hash, by = excluded.by, at = excluded.at`;
  return {
    get(id) {
      const row = db.get('select * from accepted where id = ?', id);
      if (row === undefined) return undefined;
      return {
        file: JSON.parse(String(row['file'])) as AppFile,
        hooks: JSON.parse(String(row['hooks'])) as Record<string, string>,
        hash: String(row['hash']),
        by: String(row['by']),
        at: Number(row['at']),
      };
    },
    put: ({ id, file, hooks, hash, by, at }) =>
      void db.run(
        `${insert} values (?, ?, ?, ?, ?, ?) ${replace}`,
        id,
        JSON.stringify(file),
        JSON.stringify(hooks),
        hash,
        by,
        at,
      ),
    inherit: (from, to) =>
      void db.run(`${insert} select ?, file, hooks, hash, by, at from accepted where id = ? ${replace}`, to, from),
  };
}
