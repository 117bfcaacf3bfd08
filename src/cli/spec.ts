import type { Field, Fields } from '../contract/fields.ts';
import type { Operation } from '../contract/operation.ts';
import { isOperation, OPERATIONS, type OperationName } from '../contract/operations.ts';
import { parseBytes, parseSeconds } from '../contract/units.ts';
import type { Context, Flags } from './context.ts';

/** One command of the command line, from which its parser, help, completion and reference are made. */
export interface Spec {
  /** `['trash', 'ls']`. */
  words: readonly string[];
  doc: string;
  detail?: string | undefined;
  examples: readonly string[];
  /** The operation that it asks; absent: it asks several, or none. */
  operation?: OperationName;
  fields: Fields;
  /** Flags that many commands have. */
  common: readonly (keyof Flags)[];
  /** Failures of ours end it with 125, since other exit codes are the command's own. */
  ours125: boolean;
  run: (context: Context, input: Record<string, unknown>, flags: Flags) => Promise<number>;
}

/** One flag as it is written. */
export interface Flag {
  name: string;
  alias: string | undefined;
  /** Absent: it takes no value. */
  placeholder: string | undefined;
  doc: string;
  parse: (text: string) => unknown;
}

/** Operations whose command takes a code of the second factor, or asks for one on its way. */
const CODE: ReadonlySet<string> = new Set<OperationName>(['app.create', 'machine.init']);

/** The flags that an operation's command has beside its own. */
export function commonOf(name: OperationName): (keyof Flags)[] {
  const operation: Operation = OPERATIONS[name] as unknown as Operation;
  return [
    'json',
    ...(operation.effect !== 'read' && operation.plan !== false ? (['plan'] as const) : []),
    ...(operation.factor !== undefined || CODE.has(name) ? (['code'] as const) : []),
    'verbose',
  ];
}

const COMMON: Record<keyof Flags, Omit<Flag, 'name' | 'parse'>> = {
  json: {
    alias: undefined,
    placeholder: undefined,
    doc: 'one JSON object a line; the last is the result or the error',
  },
  plan: { alias: undefined, placeholder: undefined, doc: 'say what would be done, and do nothing' },
  code: { alias: undefined, placeholder: '123456', doc: 'code of your second factor; asked for on a terminal' },
  verbose: { alias: 'v', placeholder: undefined, doc: 'say more: the evidence, and every step' },
};

/** All flags of a command, its own first. */
export function flagsOf(spec: Spec): Flag[] {
  const own = visible(spec.fields)
    .filter(([, field]) => field.positional === undefined)
    .map(([name, field]) => ({
      name: kebab(name),
      alias: field.alias,
      placeholder: field.kind === 'flag' ? undefined : placeholderOf(name, field),
      doc: field.doc,
      parse: parserOf(field),
    }));
  return [...own, ...spec.common.map((name) => ({ name, ...COMMON[name], parse: String }))];
}

/** The words of a command that stand without a flag, in their order. */
export function positionalsOf(spec: Spec): { name: string; field: Field; optional: boolean }[] {
  return visible(spec.fields)
    .filter(([, field]) => field.positional !== undefined)
    .map(([name, field]) => ({ name, field, optional: field.optional === true }));
}

/** `bulkhead exec [flags] REF -- COMMAND…` */
export function usageOf(spec: Spec): string {
  const places = positionalsOf(spec).map(({ name, field, optional }) => {
    if (field.positional === 'rest') return `-- ${name.toUpperCase()}…`;
    return optional ? `[${name.toUpperCase()}]` : name.toUpperCase();
  });
  const flags = flagsOf(spec).length > 0 ? ['[flags]'] : [];
  return ['bulkhead', ...spec.words, ...flags, ...places].join(' ');
}

/** What a person calls an operation: its command, where it has one. */
export function commandOf(operation: string): string {
  return (isOperation(operation) ? OPERATIONS[operation].command : '') || operation;
}

export const kebab = (name: string): string => name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

const visible = (fields: Fields): [string, Field][] =>
  Object.entries(fields).filter(([, field]) => field.internal !== true);

function placeholderOf(name: string, field: Field): string {
  if (field.kind === 'bytes') return '10G';
  if (field.kind === 'seconds') return '24h';
  return field.kind === 'integer' ? 'N' : name.toUpperCase();
}

/** What a person writes as the value that crosses the socket. Throws SyntaxError with what is wanted. */
function parserOf(field: Field): (text: string) => unknown {
  const need = (value: number | undefined, wanted: string): number => {
    if (value === undefined) throw new SyntaxError(`write ${wanted}`);
    return value;
  };
  if (field.kind === 'bytes') return (text) => need(parseBytes(text), 'a size, such as 10G or 512M');
  if (field.kind === 'seconds') return (text) => need(parseSeconds(text), 'a length of time, such as 24h or 1h30m');
  if (field.kind === 'integer')
    return (text) => need(/^\d{1,15}$/.test(text) ? Number(text) : undefined, 'a whole number');
  return (text) => text;
}
