import { createHash } from 'node:crypto';
import { NO_FILE, parseAppFile, type AppFile } from '../contract/app-file.ts';
import { AppError } from '../contract/errors.ts';
import { escapeText } from '../contract/names.ts';
import type { VolumeRecord } from '../store/volumes.ts';
import { refOf } from './cell-spec.ts';
import type { Parts } from './parts.ts';

/** A bulkhead.yaml as it lies in an app or fork, with the content of its hooks. */
export interface Proposal {
  file: AppFile;
  hooks: Record<string, string>;
  /** Over both: what a person accepts. */
  hash: string;
}

/** JSON and hooks together; more is refused. */
const OUTPUT = 1 << 20;
const DEADLINE = 10_000;

/**
 * Reads the proposal by a helper inside the cell, which is started for it where it
 * does not run. Undefined: there is no file. Throws `bad-file` or `not-built`.
 */
export async function readProposal(parts: Parts, record: VolumeRecord): Promise<Proposal | undefined> {
  const wasRunning = parts.supervisor.running(record.id);
  if (!wasRunning) await parts.supervisor.ensureCell(record);
  try {
    const result = await parts.cells.run(
      { cell: record.id, id: parts.newId(), command: parts.cellHelper, user: 'agent', stdin: false, log: 0 },
      { deadline: DEADLINE, output: OUTPUT },
    );
    return parseOutput(refOf(record), result.cut === undefined ? result.stdout.toString('utf8') : '');
  } finally {
    if (!wasRunning) await parts.supervisor.stopCell(record, false);
  }
}

function parseOutput(ref: string, text: string): Proposal | undefined {
  let answer: { file?: unknown; hooks?: unknown; error?: unknown };
  try {
    answer = JSON.parse(text) as typeof answer;
  } catch {
    throw new AppError('bad-file', `The bulkhead.yaml of ${ref} could not be read in time, or is too large`);
  }
  if (typeof answer.error === 'string')
    throw new AppError('bad-file', `The bulkhead.yaml of ${ref}: ${escapeText(answer.error)}`, {
      next: ['bulkhead help bulkhead.yaml'],
    });
  if (answer.file === null || answer.file === undefined) return undefined;
  const file = parseAppFile(answer.file);
  const hooks: Record<string, string> = {};
  for (const [name, content] of Object.entries((answer.hooks ?? {}) as Record<string, unknown>))
    if (typeof content === 'string') hooks[name] = content;
  return { file, hooks, hash: hashOf(file, hooks) };
}

/** The same for the same content, whatever the order of its keys. */
export function hashOf(file: AppFile, hooks: Readonly<Record<string, string>>): string {
  return createHash('sha256').update(canonical({ file, hooks })).digest('hex');
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value ?? null);
  const entries = Object.entries(value)
    .filter(([, part]) => part !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, part]) => `${JSON.stringify(key)}:${canonical(part)}`).join(',')}}`;
}

/** Every leaf in which two files differ, hooks by their content. */
export function changesBetween(
  accepted: { file: AppFile; hooks: Readonly<Record<string, string>> } | undefined,
  proposed: Proposal | undefined,
): { key: string; accepted: unknown; proposed: unknown }[] {
  const before = flatten({ ...(accepted?.file ?? NO_FILE), content: accepted?.hooks ?? {} });
  const after = flatten({ ...(proposed?.file ?? NO_FILE), content: proposed?.hooks ?? {} });
  return [...new Set([...before.keys(), ...after.keys()])]
    .filter((key) => canonical(before.get(key)) !== canonical(after.get(key)))
    .map((key) => ({ key, accepted: before.get(key) ?? null, proposed: after.get(key) ?? null }));
}

function flatten(value: unknown, prefix = '', into = new Map<string, unknown>()): Map<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    for (const [key, part] of Object.entries(value)) flatten(part, prefix === '' ? key : `${prefix}.${key}`, into);
  else if (value !== undefined) into.set(prefix, value);
  return into;
}
