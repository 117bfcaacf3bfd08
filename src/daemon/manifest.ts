import { createHmac, timingSafeEqual } from 'node:crypto';
import type { VolumeRecord } from '../store/volumes.ts';

/**
 * What is known of an app or fork, beside its volume on the pool where no cell sees
 * it, so that a lost database can be rebuilt by a scan. The MAC refuses a forged one.
 */
export function manifestText(record: VolumeRecord, key: Buffer): string {
  const body = JSON.stringify({ version: 1, record });
  return `${JSON.stringify({ body, mac: macOf(body, key) })}\n`;
}

/** The record of a manifest; undefined when it is not one of ours. */
export function readManifest(text: string, key: Buffer): VolumeRecord | undefined {
  try {
    const { body, mac } = JSON.parse(text) as { body: string; mac: string };
    const wanted = Buffer.from(macOf(body, key), 'hex');
    const given = Buffer.from(mac, 'hex');
    if (wanted.length !== given.length || !timingSafeEqual(wanted, given)) return undefined;
    return (JSON.parse(body) as { version: number; record: VolumeRecord }).record;
  } catch {
    return undefined;
  }
}

const macOf = (body: string, key: Buffer): string => createHmac('sha256', key).update(body).digest('hex');
