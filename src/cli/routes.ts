import {
  buildApplication,
  buildCommand,
  buildRouteMap,
  help,
  type Application,
  type Command,
  type RouteMap,
} from '@stricli/core';
import type { Context, Flags } from './context.ts';
import { helpOf, helpOfAll } from './help.ts';
import { flagsOf, positionalsOf, type Flag, type Spec } from './spec.ts';
import { USAGE_TEXT } from './usage.ts';

/** The parser of the command line. `done` is told the exit code of the command that ran. */
export function createApplication(specs: readonly Spec[], done: (exit: number) => void): Application<Context> {
  const tops = new Map<string, Command<Context> | Map<string, Command<Context>>>();
  for (const spec of specs) {
    const [first = '', second] = spec.words;
    const group = tops.get(first);
    if (second === undefined) tops.set(first, commandOf(spec, done));
    else if (group instanceof Map) group.set(second, commandOf(spec, done));
    else tops.set(first, new Map([[second, commandOf(spec, done)]]));
  }
  const routes = new Map(
    [...tops].map(
      ([word, target]) => [word, target instanceof Map ? mapOf(target, () => helpOfAll(word)) : target] as const,
    ),
  );
  return buildApplication(
    mapOf(routes, helpOfAll),
    {
      name: 'bulkhead',
      scanner: { caseStyle: 'allow-kebab-for-camel', allowArgumentEscapeSequence: true },
      documentation: { disableAnsiColor: true },
      localization: { text: USAGE_TEXT },
    },
    { help: help({ alias: 'h', brief: 'flags and examples', defaultForRouteMap: true, formatting: FORMATTING }) },
  );
}

const FORMATTING = {
  useAliasInUsageLine: false,
  onlyRequiredInUsageLine: false,
  caseStyle: 'convert-camel-to-kebab',
} as const;

function mapOf(
  targets: ReadonlyMap<string, Command<Context> | RouteMap<Context>>,
  text: () => string,
): RouteMap<Context> {
  // Without a prototype, so that "constructor" is no command.
  const routes = Object.assign(Object.create(null) as object, Object.fromEntries(targets));
  return { ...buildRouteMap({ routes, docs: { brief: 'commands' } }), formatHelp: () => text() };
}

function commandOf(spec: Spec, done: (exit: number) => void): Command<Context> {
  const flags = flagsOf(spec);
  const aliases = Object.fromEntries(
    flags.flatMap((flag) => (flag.alias === undefined ? [] : [[flag.alias, flag.name]])),
  );
  const command = buildCommand<Record<string, unknown>, unknown[], Context>({
    // Parameters are data here, so their types cannot be known to the compiler.
    parameters: {
      flags: Object.fromEntries(flags.map((flag) => [flag.name, toParameter(flag)])),
      aliases,
      positional: positionalOf(spec),
    } as never,
    docs: { brief: spec.doc },
    async func(given, ...words) {
      done(await spec.run(this, inputOf(spec, given, words), commonFlags(given)));
    },
  });
  return { ...command, formatHelp: () => helpOf(spec) };
}

function toParameter(flag: Flag): object {
  if (flag.placeholder === undefined) return { kind: 'boolean', brief: flag.doc, optional: true, withNegated: false };
  return { kind: 'parsed', parse: flag.parse, brief: flag.doc, optional: true };
}

function positionalOf(spec: Spec): object {
  const places = positionalsOf(spec);
  const one = places.map(({ name, field, optional }) => ({
    parse: String,
    brief: field.doc,
    placeholder: name.toUpperCase(),
    ...(optional ? { optional: true } : {}),
  }));
  // stricli has either so many words or any number of them; what follows `--` is any number.
  if (places.every(({ field }) => field.positional === 'one')) return { kind: 'tuple', parameters: one };
  return { kind: 'array', parameter: { parse: String, brief: '', placeholder: 'REF' }, minimum: places.length - 1 };
}

/** The operation's input from what was written. */
function inputOf(spec: Spec, given: Record<string, unknown>, words: readonly unknown[]): Record<string, unknown> {
  const input: Record<string, unknown> = {};
  for (const name of Object.keys(spec.fields)) if (given[name] !== undefined) input[name] = given[name];
  for (const [at, { name, field }] of positionalsOf(spec).entries()) {
    const value = field.positional === 'rest' ? words.slice(at) : words[at];
    if (value !== undefined) input[name] = value;
  }
  return input;
}

const commonFlags = (given: Record<string, unknown>): Flags => ({
  json: given['json'] === true,
  plan: given['plan'] === true,
  verbose: given['verbose'] === true,
  code: typeof given['code'] === 'string' ? given['code'].replaceAll(/\s/g, '') : undefined,
});
