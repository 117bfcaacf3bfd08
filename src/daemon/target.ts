import { AppError } from '../contract/errors.ts';
import { parseAppName, parseRef } from '../contract/names.ts';
import type { Operation } from '../contract/operation.ts';
import { OPERATIONS, type OperationName } from '../contract/operations.ts';
import type { Caller } from '../core/caller.ts';
import type { VolumeRecord } from '../store/volumes.ts';
import { refOf } from './cell-spec.ts';
import type { Parts } from './parts.ts';

/** What a request acts on, looked up once, before the policy is asked. */
export interface Target {
  kind: 'machine' | 'authority' | 'self' | 'app' | 'fork';
  /** For messages and the audit log; null: the machine. */
  name: string | null;
  record: VolumeRecord | undefined;
  /** Owner as `ownerOf` writes it; null where nobody owns it. */
  owner: string | null;
}

/** Throws `not-found`, `bad-name`, or `wrong-state` for an app where a fork is meant. */
export function targetOf(parts: Parts, name: OperationName, input: object, caller: Caller): Target {
  const operation = OPERATIONS[name] as unknown as Operation;
  const values = input as Record<string, unknown>;
  if (name === 'trash.restore') return trashTarget(parts, String(values['name']));
  if (name === 'app.create') return bare('app', parseAppName(String(values['name'])));
  // A fork that is to be made: its parent is what is read, itself does not exist yet.
  if (name === 'fork.create') return bare('fork', String(values['ref']));
  const ref = values['ref'];
  if (typeof ref !== 'string') return bare(operation.target === 'ref' ? 'machine' : operation.target, null);
  const record = findRef(parts, ref, caller);
  if (operation.target === 'fork' && record.kind === 'app')
    throw new AppError('wrong-state', `"${refOf(record)}" is an app, and this is done to forks only`, {
      next: [`bulkhead fork ${refOf(record)}`],
    });
  if (operation.target === 'authority' || operation.target === 'machine')
    return { ...bare(operation.target, refOf(record)), record };
  return { kind: record.kind, name: refOf(record), record, owner: record.owner };
}

const bare = (kind: Target['kind'], name: string | null): Target => ({ kind, name, record: undefined, owner: null });

/** The app or fork of that ref. A cell sees itself alone. Throws `not-found`. */
export function findRef(parts: Parts, text: string, caller: Caller): VolumeRecord {
  const ref = parseRef(text);
  const record = parts.store.volumes.byRef(ref.app, ref.tag ?? null);
  const hidden = caller.kind === 'cell' && record?.id !== caller.cell;
  if (record === undefined || hidden || record.state === 'making')
    throw new AppError('not-found', `There is no ${ref.tag === undefined ? 'app' : 'fork'} "${text}"`, {
      next: ref.tag === undefined ? ['bulkhead ls'] : ['bulkhead ls', `bulkhead fork ${text}`],
    });
  return record;
}

function trashTarget(parts: Parts, name: string): Target {
  const item = parts.store.trash.byName(name);
  if (item === undefined)
    throw new AppError('not-found', `There is nothing called "${name.slice(0, 80)}" in the trash`, {
      next: ['bulkhead trash ls'],
    });
  const record = parts.store.volumes.byId(item.volume);
  return {
    kind: item.kind === 'app' ? 'app' : 'fork',
    name: item.ref,
    record: undefined,
    owner: record?.owner ?? null,
  };
}
