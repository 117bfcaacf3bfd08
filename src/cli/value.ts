import { escapeText } from '../contract/names.ts';
import { formatBytes, formatSeconds } from '../contract/units.ts';

/** A value of a bulkhead.yaml in the file's own units: what was written as 2h is not shown as 7200. */
export function valueText(key: string, value: unknown): string {
  if (typeof value === 'number' && /(memory|disk)$/.test(key)) return formatBytes(value);
  if (typeof value === 'number' && key.endsWith('ttl')) return formatSeconds(value);
  return escapeText(typeof value === 'string' ? value : JSON.stringify(value));
}
