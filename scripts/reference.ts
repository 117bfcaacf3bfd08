// Makes docs/reference.md from the tables that the program itself is made from.
// `reference.ts` writes it; a law (test/laws/reference.test.ts) holds the file to the tables.

import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import * as z from 'zod/mini';
import { flagsOf, kebab, positionalsOf, usageOf, type Spec } from '../src/cli/spec.ts';
import { allSpecs } from '../src/cli/specs.ts';
import { ERRORS } from '../src/contract/errors.ts';
import type { Field, Fields } from '../src/contract/fields.ts';
import type { Operation } from '../src/contract/operation.ts';
import { OPERATIONS, type OperationName } from '../src/contract/operations.ts';
import { POLICY } from '../src/core/policy.ts';

/** Where the reference lies. */
export const REFERENCE = fileURLToPath(new URL('../docs/reference.md', import.meta.url));

/** The reference as it should be. */
export function reference(): string {
  const specs = allSpecs().toSorted((a, b) => (title(a) < title(b) ? -1 : 1));
  const asked = new Set(specs.map((spec) => spec.operation));
  const others = (Object.keys(OPERATIONS) as OperationName[]).filter((name) => !asked.has(name));
  return (
    [
      '<!-- Made by scripts/reference.ts. Do not edit: change what it is made from, and run it again. -->',
      '# Reference',
      INTRODUCTION,
      '## Commands',
      table(
        ['command', 'what it does'],
        specs.map((spec) => [`[${title(spec)}](#${anchor(title(spec))})`, spec.doc]),
      ),
      ...specs.flatMap(command),
      '## Operations without a command',
      'Asked by the command line on the way of others, and by other programs.',
      ...others.flatMap((name) => [`### ${name}`, OPERATIONS[name].doc + '.', ...operation(name, [inputTable(name)])]),
      '## Errors',
      'One shape for all: `{"code", "message", "why"?, "next", "request"?}`. A code is never renamed. [Troubleshooting](guides/troubleshooting.md) says what to do about each. `exec` and `shell` answer 125 for every failure of ours.',
      table(
        ['code', 'exit code', 'HTTP status', 'meaning'],
        Object.entries(ERRORS).map(([code, { exit, status, doc }]) => [
          `\`${code}\``,
          String(exit),
          String(status),
          doc,
        ]),
      ),
      '## Policy',
      'The first line that fits decides; where none does, the answer is no. `bulkhead policy` shows the same.',
      table(
        ['on', 'effect', 'agent, or not signed in', 'person', 'cell', 'because'],
        POLICY.map((rule) => [rule.target, rule.effect, rule.unproven, rule.person, rule.cell, rule.reason]),
      ),
    ].join('\n\n') + '\n'
  );
}

const INTRODUCTION = `Every command, its flags and what it answers; error codes; the policy. Words and journeys are in [start-here.md](start-here.md), what crosses the socket in [design/protocol.md](design/protocol.md).

An operation's fields are the keys of \`input\` on the socket, and of \`result\` in the answer. There sizes are bytes, durations seconds, times ISO 8601 in UTC; on the command line sizes are written \`10G\` or \`512MiB\`, durations \`24h\` or \`1h30m\`.`;

const title = (spec: Spec): string => spec.words.join(' ');
const anchor = (text: string): string =>
  text
    .toLowerCase()
    .replaceAll(/[^\w -]/g, '')
    .replaceAll(' ', '-');

function command(spec: Spec): string[] {
  return [
    `### ${title(spec)}`,
    spec.doc + '.',
    ...(spec.detail === undefined ? [] : [spec.detail.replaceAll('\n', ' ')]),
    fenced([usageOf(spec)]),
    argumentTable(spec),
    ...(spec.examples.length === 0 ? [] : ['Examples:', fenced(spec.examples)]),
    ...(spec.operation === undefined ? [] : operation(spec.operation, [])),
  ].filter((part) => part !== '');
}

function operation(name: OperationName, between: readonly string[]): string[] {
  const declared = OPERATIONS[name] as unknown as Operation;
  return [
    [
      `Operation \`${name}\``,
      `effect *${declared.effect}*`,
      `target *${declared.target}*`,
      ANSWERS[declared.answer ?? 'plain'],
      ...(declared.data === true ? ['reads data'] : []),
      ...(declared.factor === undefined
        ? []
        : [
            declared.factor === 'always'
              ? 'asks the second factor each time'
              : 'asks the second factor each time on production',
          ]),
      ...(declared.beforeInit === true ? ['answers root before the machine is set up'] : []),
    ].join(' · '),
    ...between,
    fieldTable('result', declared.output),
  ].filter((part) => part !== '');
}

const ANSWERS = { plain: 'one answer', events: 'answers with events', stream: 'answers with a stream' } as const;

/** How each argument is written, and which field of the operation's input it is. */
function argumentTable(spec: Spec): string {
  const field = (name: string): string => {
    const found = spec.operation === undefined ? undefined : spec.fields[name];
    return found === undefined ? '' : `\`${name}: ${typeOf(found)}\``;
  };
  const flagOf = new Map(Object.keys(spec.fields).map((name) => [kebab(name), name]));
  const internal = Object.entries(spec.fields).filter(([, one]) => one.internal === true);
  return table(
    ['argument', 'input', 'meaning'],
    [
      ...positionalsOf(spec).map((one) => [
        `\`${one.name.toUpperCase()}\``,
        field(one.name),
        one.field.doc + (one.optional ? ' (may be left out)' : ''),
      ]),
      ...flagsOf(spec).map((flag) => [
        `\`--${flag.name}${flag.placeholder === undefined ? '' : ` ${flag.placeholder}`}\`${flag.alias === undefined ? '' : `, \`-${flag.alias}\``}`,
        field(flagOf.get(flag.name) ?? ''),
        flag.doc,
      ]),
      ...internal.map(([name, one]) => ['', field(name), meaning(one)]),
    ],
  );
}

const inputTable = (name: OperationName): string => fieldTable('input', OPERATIONS[name].input);

function fieldTable(head: string, fields: Fields): string {
  return table(
    [head, 'type', 'meaning'],
    Object.entries(fields).map(([name, field]) => [`\`${name}\``, `\`${typeOf(field)}\``, meaning(field)]),
  );
}

const meaning = (field: Field): string =>
  `${field.doc}${field.internal === true ? '; set by the command line itself' : ''}${field.secret === true ? '; never in the audit log' : ''}`;

/** A field's type as a TypeScript reader would write it. */
function typeOf(field: Field): string {
  const schema = z.toJSONSchema(field.schema, { unrepresentable: 'any' }) as Schema;
  return `${shape(schema)}${field.schema.safeParse(undefined).success ? '?' : ''}`;
}

interface Schema {
  type?: string | string[];
  enum?: unknown[];
  items?: Schema;
  properties?: Record<string, Schema>;
  anyOf?: Schema[];
}

function shape(schema: Schema): string {
  if (schema.anyOf !== undefined) return schema.anyOf.map(shape).join(' | ');
  if (schema.enum !== undefined) return schema.enum.map((one) => JSON.stringify(one)).join(' | ');
  if (schema.type === 'array') {
    const item = shape(schema.items ?? {});
    return item.includes(' | ') && !item.startsWith('{') ? `(${item})[]` : `${item}[]`;
  }
  if (schema.type === 'object')
    return `{ ${Object.entries(schema.properties ?? {})
      .map(([name, part]) => `${name}: ${shape(part)}`)
      .join('; ')} }`;
  return [schema.type ?? 'any'].flat().join(' | ');
}

const fenced = (lines: readonly string[]): string => ['```', ...lines, '```'].join('\n');

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return '';
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|').replaceAll('\n', ' ')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

if (import.meta.main) {
  const text = reference();
  if ((await readFile(REFERENCE, 'utf8').catch(() => '')) !== text) await writeFile(REFERENCE, text);
}
