import { buildCommand, type Command } from '@stricli/core';
import type { Field } from '../contract/fields.ts';
import type { Operation } from '../contract/operation.ts';
import { OPERATIONS, type OperationName } from '../contract/operations.ts';
import { parseBytes, parseSeconds } from '../contract/units.ts';
import type { CommonFlags, Context } from './context.ts';
import { fail } from './fail.ts';

/** What a command does once its words are parsed: the operation's input, and the flags that all have. */
export type Run = (context: Context, input: Record<string, unknown>, flags: CommonFlags) => Promise<void>;

const kebab = (name: string): string => name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** A command from an operation's declaration: words, flags, help and examples. */
export function deriveCommand(name: OperationName, run: Run, more: { ours?: boolean } = {}): Command<Context> {
  const operation = OPERATIONS[name] as unknown as Operation;
  const fields = Object.entries(operation.input).filter(([, field]) => field.internal !== true);
  const words = fields.filter(([, field]) => field.positional !== undefined);
  const flags = fields.filter(([, field]) => field.positional === undefined);
  const aliases = Object.fromEntries(flags.flatMap(([key, field]) => (field.alias === undefined ? [] : [[field.alias, kebab(key)]])));
  const common = commonFlags(operation);
  return buildCommand({
    // The parameters are data; their types cannot be known here.
    parameters: {
      flags: { ...Object.fromEntries(flags.map(([key, field]) => [kebab(key), flagOf(field)])), ...common },
      aliases: { ...aliases, ...(Object.values(aliases).includes('v') ? {} : { v: 'verbose' }) },
      positional: positional(words),
    } as never,
    docs: { brief: operation.doc, fullDescription: describe(operation) },
    async func(this: Context, given: Record<string, unknown>, ...rest: unknown[]): Promise<void> {
      const input: Record<string, unknown> = {};
      for (const [key] of flags) if (given[kebab(key)] !== undefined) input[key] = given[kebab(key)];
      words.forEach(([key, field], at) => {
        const value = field.positional === 'rest' ? rest.slice(at) : rest[at];
        if (value !== undefined) input[key] = value;
      });
      const { json, plan, code, verbose } = given as CommonFlags;
      const all = { json: json === true, plan: plan === true, verbose: verbose === true, ...(code === undefined ? {} : { code }) };
      await run(this, input, all).catch((error: unknown) => fail(this, error, all.json, more.ours));
    },
  } as never);
}

function commonFlags(operation: Operation): Record<string, unknown> {
  const boolean = (brief: string) => ({ kind: 'boolean', brief, optional: true, withNegated: false });
  return {
    json: boolean('print JSON, one object a line; the last is the result or the error'),
    ...(operation.effect === 'read' || operation.plan === false ? {} : { plan: boolean('say what would be done, and do nothing') }),
    ...(operation.effect === 'read' && operation.factor === undefined
      ? {}
      : { code: { kind: 'parsed', parse: String, brief: 'code of the second factor, where it is asked for', optional: true, placeholder: '123456' } }),
    verbose: boolean('say more: evidence and times'),
  };
}

function flagOf(field: Field): unknown {
  if (field.kind === 'flag') return { kind: 'boolean', brief: field.doc, optional: true, withNegated: false };
  return { kind: 'parsed', parse: parserOf(field), brief: field.doc, optional: true, placeholder: PLACEHOLDER[field.kind] ?? 'value' };
}

const PLACEHOLDER: Partial<Record<Field['kind'], string>> = { bytes: '10G', seconds: '24h', integer: 'N' };

function parserOf(field: Field): (text: string) => unknown {
  const demand = (value: number | undefined, what: string): number => {
    if (value === undefined) throw new SyntaxError(`write ${what}`);
    return value;
  };
  if (field.kind === 'bytes') return (text) => demand(parseBytes(text), 'a size such as 10G or 512M');
  if (field.kind === 'seconds') return (text) => demand(parseSeconds(text), 'a length of time such as 24h or 90m');
  if (field.kind === 'integer') return (text) => demand(/^\d{1,12}$/.test(text) ? Number(text) : undefined, 'a whole number');
  return String;
}

function positional(words: readonly (readonly [string, Field])[]): unknown {
  const rest = words.find(([, field]) => field.positional === 'rest');
  const one = ([key, field]: readonly [string, Field]) => ({
    parse: String,
    brief: field.doc,
    placeholder: key.toUpperCase(),
    ...(optional(field) ? { optional: true } : {}),
  });
  if (rest === undefined) return { kind: 'tuple', parameters: words.map(one) };
  // A ref, and then a command of any length.
  return { kind: 'array', parameter: { parse: String, brief: words.map(([, field]) => field.doc).join('; then '), placeholder: 'REF -- COMMAND' }, minimum: words.length - 1 };
}

const optional = (field: Field): boolean => field.schema.safeParse(undefined).success;

function describe(operation: Operation): string {
  const examples = operation.examples.map((line) => `  ${line}`).join('\n');
  return [operation.doc, operation.detail, examples === '' ? undefined : `Examples\n${examples}`].filter(Boolean).join('\n\n');
}
