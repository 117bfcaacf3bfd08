import type { Plan } from '../core/steps.ts';
import type { Db } from './db.ts';

/** A plan that was begun and has not ended. */
export interface JournalEntry {
  id: number;
  plan: Plan;
  /** UUID of the request that it belongs to. */
  request: string;
  /** `running`, `stuck`: steps before it are done, the one at it may have begun. `undoing`: those from it on are undone, it may be. */
  cursor: number;
  /** `stuck`: was tried several times after its commit; it is never undone. */
  state: 'running' | 'undoing' | 'stuck';
}

/** What the next daemon needs to know of the plans of this one. Each call is one commit, on the disk when it returns. */
export interface Journal {
  /** `at`: milliseconds since 1970. */
  begin(plan: Plan, request: string, at: number): JournalEntry;
  /** Says in one commit that the step before is done and that the one at the cursor begins. */
  move(id: number, cursor: number, state: JournalEntry['state']): void;
  end(id: number): void;
  /** All that were begun and have not ended, in the order in which they were begun. */
  open(): JournalEntry[];
}

export function createJournal(db: Db): Journal {
  return {
    begin(plan, request, at) {
      const row = db.get(
        `insert into journal (operation, target, request, plan, cursor, state, started)
         values (?, ?, ?, ?, 0, 'running', ?) returning id`,
        plan.operation,
        plan.target,
        request,
        JSON.stringify(plan),
        at,
      );
      return { id: Number(row?.['id']), plan, request, cursor: 0, state: 'running' };
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
        // The table's check holds the enumeration.
        state: String(row['state']) as JournalEntry['state'],
      })),
  };
}
