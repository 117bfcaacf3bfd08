import type { AuditRecord } from '../contract/authority.ts';
import { callerName, type Caller } from '../core/caller.ts';

import { createAcceptedFiles, type AcceptedFiles } from './accepted.ts';
import { openAudit, type AuditFile } from './audit.ts';
import type { Head } from './audit-chain.ts';
import { openDatabase, type Db } from './db.ts';
import { createFactorRecords, type FactorRecords, type StoredFactor } from './factors.ts';
import { createMeta, type Meta } from './meta.ts';
import { createPointRecords, type PointRecords } from './points.ts';
import { openSecrets, type Secrets } from './secrets.ts';
import { createSessionRecords, type SessionRecords } from './sessions.ts';
import { createTrashRecords, type TrashRecords } from './trash.ts';
import { createVolumeRecords, type VolumeRecords } from './volumes.ts';

/** Everything that the daemon keeps outside the pool. */
export interface Store {
  db: Db;
  volumes: VolumeRecords;
  trash: TrashRecords;
  points: PointRecords;
  accepted: AcceptedFiles;
  sessions: SessionRecords;
  factors: FactorRecords<StoredFactor>;
  meta: Meta;
  secrets: Secrets;
  auditFile: AuditFile;
  close(): Promise<void>;
}

/** Opens the state of an instance; its directory must exist, for root alone. */
export async function openStore(
  paths: { state: string; database: string; audit: string },
  deps: { clock: () => number },
): Promise<Store> {
  // First: it refuses where another daemon has it.
  const db = openDatabase(paths.database);
  try {
    return await openParts(db, paths, deps);
  } catch (error) {
    db.close();
    throw error;
  }
}

async function openParts(
  db: Db,
  paths: { state: string; audit: string },
  deps: { clock: () => number },
): Promise<Store> {
  const secrets = await openSecrets(paths.state);
  const meta = createMeta(db);
  const anchor = {
    get(): Head | undefined {
      const kept = meta.get('audit.head');
      return kept === undefined ? undefined : (JSON.parse(kept) as Head);
    },
    set: (head: Head) => meta.set('audit.head', JSON.stringify(head)),
  };
  const auditFile = await openAudit({ file: paths.audit, key: secrets.auditKey, anchor, clock: deps.clock });
  return {
    db,
    meta,
    secrets,
    auditFile,
    volumes: createVolumeRecords(db),
    trash: createTrashRecords(db),
    points: createPointRecords(db),
    accepted: createAcceptedFiles(db),
    sessions: createSessionRecords(db),
    factors: createFactorRecords(db),
    async close() {
      await auditFile.close();
      db.close();
    },
  };
}

/** A caller as a record has it. */
export function auditCaller(caller: Caller): AuditRecord['caller'] {
  const service = caller.kind === 'service';
  return {
    kind: caller.kind,
    uid: service ? null : caller.uid,
    pid: service ? null : caller.pid,
    name: callerName(caller),
    evidence: [...caller.evidence],
  };
}
