import { AppError } from './errors.ts';

/** What a name of an app or a fork's tag may be. Checked here and nowhere else. */
const NAME = /^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$/;
const ALLOWED = 'use 1 to 40 lower-case letters, digits and hyphens, with a letter or digit first and last';

/** A ref that was checked: `shop`, or `shop:fix`. */
export interface Ref {
  app: string;
  /** Absent: the app itself, which is production. */
  tag?: string;
}

/** The ref of one app or fork from what a person wrote. Throws `bad-name`. */
export function parseRef(text: string): Ref {
  if (text.includes('/'))
    throw new AppError('not-built', `Cannot use ${quote(text)}: a ref on another machine is not possible yet`, {
      next: ['bulkhead ls'],
    });
  const [app, tag, ...rest] = text.split(':');
  if (rest.length > 0) throw badName('ref', text, 'a ref is NAME or NAME:TAG');
  checkName('app', app ?? '', text);
  if (tag === undefined) return { app: app as string };
  checkName('fork', tag, text);
  return { app: app as string, tag };
}

/** The name of a new app. Throws `bad-name`. */
export function parseAppName(text: string): string {
  checkName('app', text, text);
  return text;
}

export function formatRef(ref: Ref): string {
  return ref.tag === undefined ? ref.app : `${ref.app}:${ref.tag}`;
}

function checkName(kind: 'app' | 'fork', name: string, whole: string): void {
  if (!NAME.test(name)) throw badName(kind === 'app' ? 'app name' : "fork's tag", name, ALLOWED, whole);
}

function badName(what: string, value: string, allowed: string, whole = value): AppError {
  return new AppError('bad-name', `Cannot use ${quote(value)} as ${article(what)} ${what}: ${allowed}`, {
    ...(whole === value ? {} : { why: `It stands in ${quote(whole)}.` }),
    next: ['bulkhead ls'],
  });
}

const article = (what: string): string => (/^[aeiou]/.test(what) ? 'an' : 'a');

/** A name from elsewhere, safe to show: control, bidirectional and line characters escaped, length bounded. */
export function quote(text: string): string {
  const short = text.length > 80 ? `${text.slice(0, 80)}…` : text;
  return `"${escapeText(short)}"`;
}

/** Escapes what could move a cursor, hide or reorder text on a terminal. */
export function escapeText(text: string): string {
  return text.replace(
    // oxlint-disable-next-line no-control-regex -- these are the characters to take out
    /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]/gu,
    (char) => `\\u${(char.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`,
  );
}
