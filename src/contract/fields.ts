import * as z from 'zod/mini';

/**
 * A field of an operation: its schema, a line of documentation, and how it is
 * written on a command line. The JSON on the socket carries bytes, seconds,
 * booleans and strings; only the CLI knows `10G` and `24h`.
 */
export interface Field<S extends z.ZodMiniType = z.ZodMiniType> {
  doc: string;
  kind: 'text' | 'flag' | 'integer' | 'bytes' | 'seconds' | 'list' | 'data';
  schema: S;
  /** May be left out. */
  optional?: boolean;
  /** Stands on the command line without a flag, in the order of declaration. `rest`: all that follows. */
  positional?: 'one' | 'rest';
  /** Never written to the audit log. */
  secret?: boolean;
  /** One-letter flag. */
  alias?: string;
  /** Set by the CLI itself (a stream's shape, the terminal's size), not a flag. */
  internal?: boolean;
}

export type Fields = Record<string, Field>;
export type Shape<F extends Fields> = { [K in keyof F]: F[K]['schema'] };
/** The parsed value of a set of fields. */
export type Value<F extends Fields> = z.output<z.ZodMiniObject<Shape<F>>>;

type More = Omit<Partial<Field>, 'doc' | 'kind' | 'schema'>;

const LONGEST = 4096;
const string = (max = LONGEST): z.ZodMiniString => z.string().check(z.maxLength(max));

// Made once and shared by all fields of a kind: making them anew for each took 4 ms of every start of the CLI.
const TEXT = string();
const OPTIONAL_TEXT = z.optional(TEXT);
const OPTIONAL_BOOLEAN = z.optional(z.boolean());
const OPTIONAL_COUNT = z.optional(z.int().check(z.minimum(0)));

export const text = (doc: string, more: More = {}): Field<z.ZodMiniString> => ({
  doc,
  kind: 'text',
  schema: TEXT,
  ...more,
});
export const optionalText = (doc: string, more: More = {}) => ({
  doc,
  kind: 'text' as const,
  schema: OPTIONAL_TEXT,
  optional: true,
  ...more,
});
export const flag = (doc: string, more: More = {}) => ({
  doc,
  kind: 'flag' as const,
  schema: OPTIONAL_BOOLEAN,
  optional: true,
  ...more,
});
export const integer = (doc: string, more: More = {}) => ({
  doc,
  kind: 'integer' as const,
  schema: OPTIONAL_COUNT,
  optional: true,
  ...more,
});
export const bytes = (doc: string, more: More = {}) => ({
  doc,
  kind: 'bytes' as const,
  schema: OPTIONAL_COUNT,
  optional: true,
  ...more,
});
export const seconds = (doc: string, more: More = {}) => ({
  doc,
  kind: 'seconds' as const,
  schema: OPTIONAL_COUNT,
  optional: true,
  ...more,
});
/** At most `most` strings of 128 KiB each: what one command line may carry. */
export const words = (doc: string, more: More = {}) => ({
  doc,
  kind: 'list' as const,
  schema: z.array(string(131_072)).check(z.maxLength(4096)),
  ...more,
});
/** Structured data: shown by `--json`, drawn by a command's own view. */
export const data = <S extends z.ZodMiniType>(doc: string, schema: S, more: More = {}) => ({
  doc,
  kind: 'data' as const,
  schema,
  ...more,
});

/** The schema of a set of fields; a key that is not declared is an error. */
export function objectOf<F extends Fields>(fields: F): z.ZodMiniObject<Shape<F>> {
  const shape = Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, field.schema]));
  return z.strictObject(shape as Shape<F>) as unknown as z.ZodMiniObject<Shape<F>>;
}
