import { AppError } from '../contract/errors.ts';
import type { AuditFile } from '../store/audit.ts';
import { auditCaller } from '../store/store.ts';
import type { AuditLog } from './parts.ts';
import type { RecordBudget } from './record-budget.ts';

/** The audit log as the daemon uses it: an error says what a person can do. What cannot be recorded is not done. */
export function createAuditLog(file: AuditFile, budget: RecordBudget): AuditLog {
  return {
    async append(entry) {
      try {
        const record = await file.append({ ...entry, caller: auditCaller(entry.caller) });
        const { kind } = entry.caller;
        if (kind === 'unproven' || kind === 'cell') budget.spend(entry.caller.uid, JSON.stringify(record).length);
      } catch (error) {
        throw unwritable(error);
      }
    },
    read: (wanted) => file.read(wanted),
    tail: (call) => file.tail(call),
    verify: () => file.verify(),
  };
}

function unwritable(error: unknown): AppError {
  const code = (error as NodeJS.ErrnoException | null)?.code;
  const full = code === 'ENOSPC' || code === 'EDQUOT' || code === 'no-room';
  const reason = full ? "the disk of the daemon's state is full" : error instanceof Error ? error.message : 'unknown';
  return new AppError(full ? 'no-room' : 'failed', `Cannot write to the audit log: ${reason}`, {
    why: 'What cannot be recorded is not done.',
    next: full ? ['df -h /var/lib', 'bulkhead doctor'] : ['bulkhead audit verify', 'bulkhead doctor'],
    cause: error,
  });
}
