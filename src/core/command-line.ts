import type { Field } from '../contract/fields.ts';
import { escapeText } from '../contract/names.ts';
import type { Operation } from '../contract/operation.ts';

/** A longer line is cut behind `--`: it is to be read, and the reader has it. */
const LONGEST = 240;

/** The command line for an operation, with `ref` in place of the input's own; what a person could type. */
export function commandFor(
  operation: Pick<Operation, 'command' | 'input'>,
  input: Readonly<Record<string, unknown>>,
  ref: string,
): string {
  const fields = Object.entries(operation.input).filter(
    ([, field]) => field.internal !== true && field.secret !== true,
  );
  const flags = fields.flatMap(([name, field]) =>
    field.positional === undefined ? flagWords(name, field, input[name]) : [],
  );
  const places = fields.flatMap(([name, field]) => {
    if (field.positional !== 'one') return [];
    return name === 'ref' ? [ref] : plainWords(input[name]);
  });
  const rest = fields.flatMap(([name, field]) => (field.positional === 'rest' ? plainWords(input[name]) : []));
  const line = ['bulkhead', operation.command, ...flags, ...places.map(quoteWord)].join(' ');
  if (rest.length === 0) return line;
  const whole = `${line} -- ${rest.map(quoteWord).join(' ')}`;
  return whole.length <= LONGEST ? whole : `${line} -- …`;
}

function flagWords(name: string, field: Field, value: unknown): string[] {
  if (value === undefined || value === false || value === null) return [];
  const flag = field.alias === undefined ? `--${name}` : `-${field.alias}`;
  return value === true ? [flag] : [flag, quoteWord(String(value))];
}

const plainWords = (value: unknown): string[] =>
  Array.isArray(value) ? value.map(String) : typeof value === 'string' ? [value] : [];

/** One word for a POSIX shell; what could move a cursor is shown escaped. */
function quoteWord(word: string): string {
  if (/^[\w@%+=:,./-]+$/.test(word)) return word;
  return `'${escapeText(word).replaceAll("'", "'\\''")}'`;
}
