import { createHmac, timingSafeEqual } from 'node:crypto';
import type { AuditRecord } from '../contract/authority.ts';

/** Before the first record. */
export const GENESIS = '0'.repeat(64);
/** Bytes of a line at the most; longer arguments are cut before. */
export const LINE_LIMIT = 64 << 10;

/** Where the chain stands: the number and MAC of its last record. Kept outside the file. */
export interface Head {
  seq: number;
  mac: string;
}

export const START: Head = { seq: 0, mac: GENESIS };

/** The next record of a chain, as one line. Its MAC covers all of it, and the MAC before it. */
export function seal(record: Omit<AuditRecord, 'mac' | 'seq'>, head: Head, key: Buffer): { line: string; head: Head } {
  const body = { seq: head.seq + 1, ...record };
  let text = JSON.stringify(body);
  if (text.length > LINE_LIMIT - 128) text = JSON.stringify({ ...body, arguments: `[${text.length} bytes, cut]` });
  const mac = macOf(head.mac, text, key);
  return { line: `${text.slice(0, -1)},"mac":"${mac}"}\n`, head: { seq: body.seq, mac } };
}

/** What is wrong with a line that should follow `head`; the new head where nothing is. */
export function check(line: string, head: Head, key: Buffer): { head: Head; record: AuditRecord } | { wrong: string } {
  const match = /^(\{.*),"mac":"([0-9a-f]{64})"\}$/.exec(line);
  if (match === null) return { wrong: `the record after number ${head.seq} is cut or malformed` };
  const text = `${match[1]}}`;
  const mac = match[2] ?? '';
  let record: AuditRecord;
  try {
    record = JSON.parse(line) as AuditRecord;
  } catch {
    return { wrong: `the record after number ${head.seq} is not JSON` };
  }
  if (record.seq !== head.seq + 1)
    return { wrong: `record ${head.seq + 1} is missing, or was moved: number ${record.seq} stands in its place` };
  const expected = Buffer.from(macOf(head.mac, text, key), 'hex');
  if (!timingSafeEqual(expected, Buffer.from(mac, 'hex'))) return { wrong: `record ${record.seq} was changed` };
  return { head: { seq: record.seq, mac }, record };
}

const macOf = (before: string, text: string, key: Buffer): string =>
  createHmac('sha256', key).update(before).update('\n').update(text).digest('hex');
