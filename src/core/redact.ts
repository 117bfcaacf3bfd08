/** What stands in the audit log where a secret was. */
export const REDACTED = '[redacted]';

/**
 * Hides what looks like a secret in what callers say, for the audit log. It errs on
 * the side of hiding, and it is no wall: who wants a secret in the log can write it
 * so that nothing recognises it. Whoever may ask can choose the text, so no pattern
 * here may take more than a time that grows with the text: runs of letters are
 * matched from their start only, and the text is cut before.
 */

/** Characters of a word and of all words of a list that are kept. */
const WORD = 2048;
const ALL = 16_384;
/** Looked at beyond the cut, so that a secret across it is hidden whole. */
const MARGIN = 256;

/** Names of things that are secret, anywhere in a name. */
const SECRET_NAME =
  /pass|pwd|secret|token|credential|api[_-]?key|access[_-]?key|private[_-]?key|auth(?!or)|cookie|session[_-]?id|signature|_key$|_dsn$/i;
/** `NAME=value`, `"name": value`, `--name=value`. The name is matched whole, from its start. */
const ASSIGNMENT = /(?<![\w.-])([\w.-]+)(["']?[ \t]{0,3}[=:][ \t]{0,3})("[^"]*"?|'[^']*'?|[^\s'"&]+)/g;
/** The rest of a header's line. */
const HEADER = /(?<![\w-])((?:proxy-)?authorization|(?:set-)?cookie)(["']?[ \t]*:[ \t]*["']?)([^\r\n'"]+)/gi;
/** `scheme://user:password@host`, and `https://token@host`. */
const URL_USER = /(?<![a-z0-9])([a-z][a-z0-9+.-]{0,20}:\/\/)([^\s/?#'"@]{1,512}@)/gi;
const BEARER = /\b(bearer|basic)[ \t]+[\w.~+/=-]{8,}/gi;
/** SQL: `password 'x'`, `identified by 'x'`. */
const SQL = /\b(password|identified by)(\s{1,8})('[^']*'?|"[^"]*"?)/gi;
const PRIVATE_KEY = /-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[^-]*(?:-{0,5}END[A-Z -]*)?/g;
/** Forms of tokens that their makers publish, so that scanners find them. */
const TOKENS =
  /(?<![A-Za-z0-9])(?:sk-[\w-]{16,}|[sr]k_(?:live|test)_\w{10,}|whsec_\w{16,}|gh[opusr]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|xox[abeprs]-[\w-]{10,}|(?:AKIA|ASIA)[0-9A-Z]{16}|AIza[\w-]{30,}|ya29\.[\w-]{20,}|npm_\w{30,}|pypi-[\w-]{30,}|dop_v1_\w{30,}|hf_\w{30,}|AGE-SECRET-KEY-\w{20,}|(?<![\w-])eyJ[\w-]{10,}\.[\w-]{10,}(?:\.[\w-]*)?)/g;

/** Programs whose short options carry a secret: as the next word, or glued to the letter. */
const PROGRAMS: readonly { program: RegExp; next?: RegExp; glued?: RegExp }[] = [
  { program: /^(?:mysql|mariadb)[\w-]*$/, glued: /^-p(?=.)/ },
  { program: /^sshpass$/, next: /^-p$/, glued: /^-p(?=.)/ },
  { program: /^(?:curl|wget)$/, next: /^(?:-u|-U|--user|--proxy-user|-b)$/, glued: /^-[uU](?=.)/ },
  { program: /^(?:redis-cli|valkey-cli)$/, next: /^-a$/, glued: /^-a(?=.)/ },
];

/** A text with its secrets hidden, cut to 2,048 characters. */
export function redactText(text: string): string {
  return cut(hideIn(text.slice(0, WORD + MARGIN)), text.length);
}

/** An operation's input for the audit log: declared secrets are gone, and what looks like one is hidden. */
export function redact(input: unknown, fields: Readonly<Record<string, { secret?: boolean }>>): unknown {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) return null;
  let left = ALL;
  const shown = (name: string, value: unknown): unknown => {
    if (isSecret(name, fields)) return REDACTED;
    // Looking for secrets takes time, and who sends many texts decides how much.
    if (left <= 0) return typeof value === 'string' || Array.isArray(value) ? `… (${value.length} more)` : null;
    const hidden = hide(value);
    left -= sizeOf(hidden);
    return hidden;
  };
  return Object.fromEntries(
    Object.entries(input)
      .slice(0, 64)
      .map(([name, value]) => [name.slice(0, 64), shown(name, value)]),
  );
}

const sizeOf = (hidden: unknown): number =>
  Array.isArray(hidden)
    ? hidden.reduce((sum: number, word) => sum + String(word).length + 8, 0)
    : String(hidden).length;

/** What is not declared is refused, and recorded: its name is all there is to judge by. */
const isSecret = (name: string, fields: Readonly<Record<string, { secret?: boolean }>>): boolean =>
  Object.hasOwn(fields, name) ? fields[name]?.secret === true : SECRET_NAME.test(name);

function hide(value: unknown): unknown {
  if (typeof value === 'string') return redactText(value);
  if (Array.isArray(value)) return redactWords(value);
  return typeof value === 'object' && value !== null ? null : value;
}

/** The words of a command, each by itself and after the word before it: `--password hunter2`. */
export function redactWords(words: readonly unknown[]): unknown[] {
  const kept: unknown[] = [];
  let left = ALL;
  let options: (typeof PROGRAMS)[number] | undefined;
  for (const [at, word] of words.entries()) {
    if (left <= 0) return [...kept, `… (${words.length - at} more words)`];
    // A list in a list is no command, and as deep as its sender likes.
    if (typeof word !== 'string') kept.push(typeof word === 'object' ? null : word);
    else {
      const before = words[at - 1];
      const hidden = typeof before === 'string' && carriesNext(before, options) ? REDACTED : hideWord(word, options);
      kept.push(hidden);
      options = PROGRAMS.find(({ program }) => program.test(baseName(word))) ?? options;
    }
    // An empty word counts too, or a list of them would be kept whole.
    left -= String(kept.at(-1)).length + 8;
  }
  return kept;
}

const baseName = (word: string): string => (word.length > 256 ? '' : word.slice(word.lastIndexOf('/') + 1));

function carriesNext(word: string, options: (typeof PROGRAMS)[number] | undefined): boolean {
  if (word.length > 256) return false;
  return (/^--?[\w.-]+$/.test(word) && SECRET_NAME.test(word)) || options?.next?.test(word) === true;
}

function hideWord(word: string, options: (typeof PROGRAMS)[number] | undefined): string {
  const glued = word.length > 2 ? options?.glued?.exec(word)?.[0] : undefined;
  if (glued !== undefined) return `${glued}${REDACTED}`;
  // A word that is one assignment: all that follows is its value, whatever letters it has.
  const assigned = /^(-{0,2}[\w.-]{1,128}=)(?=.)/.exec(word)?.[1];
  if (assigned !== undefined && SECRET_NAME.test(assigned.slice(0, -1))) return `${assigned}${REDACTED}`;
  return redactText(word);
}

function hideIn(text: string): string {
  const named = (whole: string, name: string, sign: string): string =>
    SECRET_NAME.test(name) ? `${name}${sign}${REDACTED}` : whole;
  const inside = text
    .replace(PRIVATE_KEY, REDACTED)
    .replace(
      URL_USER,
      (_, scheme: string, user: string) =>
        `${scheme}${user.includes(':') ? `${user.slice(0, user.indexOf(':'))}:` : ''}${REDACTED}@`,
    )
    .replace(HEADER, `$1$2${REDACTED}`)
    .replace(BEARER, `$1 ${REDACTED}`)
    .replace(SQL, `$1$2${REDACTED}`)
    .replace(TOKENS, REDACTED)
    .replace(ASSIGNMENT, named);
  return hideOptions(inside);
}

/** A command line inside a text: `sh -c "mysql -phunter2"`, `--password hunter2`. */
function hideOptions(text: string): string {
  const parts = text.split(/(\s+)/);
  let options: (typeof PROGRAMS)[number] | undefined;
  for (let at = 0; at < parts.length; at += 2) {
    const part = parts[at] ?? '';
    const glued = part.length > 2 ? options?.glued?.exec(part)?.[0] : undefined;
    if (at >= 2 && carriesNext(parts[at - 2] ?? '', options)) parts[at] = REDACTED;
    else if (glued !== undefined) parts[at] = `${glued}${REDACTED}`;
    options = PROGRAMS.find(({ program }) => program.test(baseName(part.replace(/^["'(`]+/, '')))) ?? options;
  }
  return parts.join('');
}

function cut(text: string, length: number): string {
  if (length <= WORD && text.length <= WORD + MARGIN) return text;
  return `${text.slice(0, WORD)}… (${length} characters)`;
}
