import type { Plan } from '../core/steps.ts';
import type { Db } from './db.ts';

/** A plan that was begun and is not ended. Steps before `cursor` are done; the one at it may have begun. */
export interface JournalEntry {
  id: number;
  plan: Plan;
  request: string;
  cursor: number;
  state: 'running' | 'undoing' | 'stuck';
}

export interface Journal {
  begin(plan: Plan, request: string, at: number): number;
  move(id: number, cursor: number, state: JournalEntry['state']): void;
  end(id: number): void;
  open(): JournalEntry[];
}

export function createJournal(db: Db): Journal {
  return {
    begin(plan, request, at) {
      db.run(
        `insert into journal (operation, target, request, plan, cursor, state, started) values (?, ?, ?, ?, 0, 'running', ?)`,
        plan.operation,
        plan.target,
        request,
        JSON.stringify(plan),
        at,
      );
      return Number(db.get('select last_insert_rowid() as id')?.['id']);
    },
    move: (id, cursor, state) =>
      void db.run('update journal set cursor = ?, state = ? where id = ?', cursor, state, id),
    end: (id) => void db.run('delete from journal where id = ?', id),
    open: () =>
      db.all('select * from journal order by id').map((row) => ({
        id: Number(row['id']),
        plan: JSON.parse(String(row['plan'])) as Plan,
        request: String(row['request']),
        cursor: Number(row['cursor']),
        state: String(row['state']) as JournalEntry['state'],
      })),
  };
}
