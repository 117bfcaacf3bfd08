/** What stands in the audit log where a secret was. */
export const REDACTED = '[redacted]';

/** Forms of tokens that providers publish; the list errs on the side of hiding. */
const TOKENS =
  /\b(?:sk-[A-Za-z0-9_-]{16,}|sk_(?:live|test)_[A-Za-z0-9]{10,}|rk_live_[A-Za-z0-9]{10,}|ghp_[A-Za-z0-9]{20,}|gh[ousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{16,}|xox[abprs]-[A-Za-z0-9-]{10,}|AKIA[0-9A-Z]{16}|ASIA[0-9A-Z]{16}|AIza[0-9A-Za-z_-]{30,}|npm_[A-Za-z0-9]{30,}|eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]+)\b/g;
const NAMES = String.raw`[A-Za-z0-9_.-]*(?:pass(?:word|wd|phrase)?|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credential)[A-Za-z0-9_.-]*`;
const ASSIGNMENT = new RegExp(String.raw`((?:^|[\s'"{,;&?])-{0,2}${NAMES}["']?\s*[=:]\s*)("[^"]*"|'[^']*'|[^\s'"&,;}]+)`, 'gi');
const FLAG = new RegExp(String.raw`^-{1,2}${NAMES}$`, 'i');
/** `scheme://user:password@host`. */
const URL_PASSWORD = /([a-z][a-z0-9+.-]*:\/\/[^\s:/@]*:)([^\s@/]+)(@)/gi;
const BEARER = /\b((?:authorization:\s*)?(?:bearer|basic)\s+)([A-Za-z0-9._~+/=-]{8,})/gi;

/** A text with its secrets hidden. */
export function redactText(text: string): string {
  return text
    .replace(URL_PASSWORD, `$1${REDACTED}$3`)
    .replace(BEARER, `$1${REDACTED}`)
    .replace(ASSIGNMENT, `$1${REDACTED}`)
    .replace(TOKENS, REDACTED);
}

/** An operation's input for the audit log: declared secrets are gone, and what looks like one is hidden. */
export function redact(input: unknown, fields: Readonly<Record<string, { secret?: boolean }>>): unknown {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) return null;
  return Object.fromEntries(
    Object.entries(input).map(([name, value]) => [name, fields[name]?.secret === true ? REDACTED : hide(value)]),
  );
}

function hide(value: unknown): unknown {
  if (typeof value === 'string') return redactText(value.length > 8192 ? `${value.slice(0, 8192)}… (${value.length} characters)` : value);
  if (Array.isArray(value))
    return value.slice(0, 256).map((word, index) => {
      const before: unknown = value[index - 1];
      // `--password hunter2`, as two words.
      return typeof word === 'string' && typeof before === 'string' && FLAG.test(before) ? REDACTED : hide(word);
    });
  return typeof value === 'object' && value !== null ? null : value;
}
