/** Sizes and durations as people write and read them. On the wire: bytes and seconds. */

const SIZE = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 } as const;
const TIME = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 } as const;

/** `10G`, `20GiB`, `512M`, `4096` → bytes (binary units); undefined when it is not a size. */
export function parseBytes(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?$/i.exec(text.trim());
  if (!match) return undefined;
  const unit = (match[2] ?? '').toLowerCase() as keyof typeof SIZE;
  const bytes = Math.round(Number(match[1]) * SIZE[unit]);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** `24h`, `30m`, `1h30m`, `90` (seconds) → seconds; undefined when it is not a duration. */
export function parseSeconds(text: string): number | undefined {
  const trimmed = text.trim().toLowerCase();
  if (/^\d+$/.test(trimmed)) return safe(Number(trimmed));
  if (!/^(\d+[smhdw])+$/.test(trimmed)) return undefined;
  let seconds = 0;
  for (const [, count, unit] of trimmed.matchAll(/(\d+)([smhdw])/g))
    seconds += Number(count) * TIME[unit as keyof typeof TIME];
  return safe(seconds);
}

function safe(value: number): number | undefined {
  return Number.isSafeInteger(value) ? value : undefined;
}

/** Bytes with at most three digits that matter: `14.0 MiB`, `128 GiB`, `0 B`. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${digits(value, unit === 0)} ${units[unit]}`;
}

/** A length of time in the one unit that reads best: `3 m`, `22 h`, `41 d`. */
export function formatSeconds(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.round(s / 60)} m`;
  if (s < 48 * 3600) return `${Math.round(s / 3600)} h`;
  return `${Math.round(s / 86_400)} d`;
}

/** Milliseconds as a step's time: `3.1 ms`, `48 ms`, `1.24 s`. */
export function formatMs(ms: number): string {
  return ms < 1000 ? `${digits(ms, false)} ms` : `${digits(ms / 1000, false)} s`;
}

function digits(value: number, whole: boolean): string {
  if (whole || value >= 100) return String(Math.round(value));
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}
