import { AppError } from '../contract/errors.ts';
import { quote } from '../contract/names.ts';
import type { Context } from './context.ts';
import { flagsOf, positionalsOf, usageOf, type Spec } from './spec.ts';
import { allSpecs } from './specs.ts';
import { table } from './terminal/table.ts';
import { wrap } from './terminal/text.ts';
import { TOPICS } from './topics.ts';

const WIDTH = 96;

/** Commands under a heading, by the noun of what they ask. */
const GROUPS: readonly { title: string; nouns: readonly string[] }[] = [
  { title: 'Apps and forks', nouns: ['app', 'fork', 'volume'] },
  { title: 'Running them', nouns: ['cell', 'session', 'shell'] },
  { title: 'The way back', nouns: ['point', 'trash'] },
  { title: 'Who may do what', nouns: ['caller', 'policy', 'config', 'audit'] },
  { title: 'This machine', nouns: ['machine', 'daemon', 'completion', 'help'] },
];

/** The help of one command. */
export function helpOf(spec: Spec): string {
  const places = positionalsOf(spec).map(({ name, field }) => [name.toUpperCase(), field.doc]);
  const flags = flagsOf(spec).map((flag) => [
    `${flag.alias === undefined ? '    ' : `-${flag.alias}, `}--${flag.name}${flag.placeholder === undefined ? '' : ` ${flag.placeholder}`}`,
    flag.doc,
  ]);
  const detail = (spec.detail ?? '').split('\n').flatMap((line) => (line === '' ? [] : wrap(line, WIDTH)));
  const parts = [
    [usageOf(spec)],
    wrap(spec.doc, WIDTH),
    detail,
    columns(places),
    columns(flags),
    ['Examples', ...spec.examples.map((line) => `  ${line}`)],
  ];
  return `${parts
    .filter((part) => part.length > 0)
    .map((part) => part.join('\n'))
    .join('\n\n')}\n`;
}

/** The help of the whole, or of the commands below one word. */
export function helpOfAll(word?: string): string {
  const specs = allSpecs();
  if (word !== undefined) {
    const rows = specs.filter((spec) => spec.words[0] === word).map(rowOf);
    return `${table(rows, { indent: '  ' }).join('\n')}\n\n  bulkhead ${word} COMMAND --help\n`;
  }
  const width = Math.max(...specs.map((spec) => spec.words.join(' ').length));
  const groups = GROUPS.flatMap(({ title, nouns }) => [
    title,
    ...specs
      .filter((spec) => nouns.includes(spec.operation?.split('.')[0] ?? spec.words[0] ?? ''))
      .map((spec) => `  ${spec.words.join(' ').padEnd(width)}  ${spec.doc}`),
    '',
  ]);
  return [
    'Bulkhead: production in apps, agents in forks of them, kernel walls in between.',
    '',
    ...groups,
    'bulkhead COMMAND --help     flags and examples',
    `bulkhead help TOPIC         ${Object.keys(TOPICS).join(', ')}`,
    '',
  ].join('\n');
}

/** `bulkhead help [COMMAND or TOPIC]`. */
export async function help({ terminal }: Context, topic: string | undefined): Promise<number> {
  if (topic === undefined) return print(terminal, helpOfAll());
  const explain = TOPICS[topic];
  if (explain !== undefined && Object.hasOwn(TOPICS, topic)) return print(terminal, explain());
  const specs = allSpecs();
  const spec = specs.find((one) => one.words.join(' ') === topic);
  if (spec !== undefined) return print(terminal, helpOf(spec));
  if (specs.some((one) => one.words[0] === topic)) return print(terminal, helpOfAll(topic));
  throw new AppError('usage', `There is no command or topic ${quote(topic)}`, {
    why: `Topics: ${Object.keys(TOPICS).join(', ')}.`,
    next: ['bulkhead help'],
  });
}

function print(terminal: Context['terminal'], text: string): number {
  terminal.stdout.write(text);
  return 0;
}

const rowOf = (spec: Spec): string[] => [spec.words.join(' '), spec.doc];

/** Two columns, the second broken at the width. */
function columns(rows: readonly (readonly string[])[]): string[] {
  const first = Math.max(0, ...rows.map(([name = '']) => name.length)) + 4;
  return rows.flatMap(([name = '', doc = '']) =>
    wrap(doc, WIDTH - first).map((line, at) => `${(at === 0 ? `  ${name}` : '').padEnd(first)}${line}`),
  );
}
