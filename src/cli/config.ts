import { escapeText } from '../contract/names.ts';
import { lineDiff } from '../contract/line-diff.ts';
import type { Output } from '../contract/operations.ts';
import type { Context, Look, Run } from './context.ts';
import { answer, perform, shown } from './perform.ts';
import { when } from './terminal/times.ts';
import { valueText } from './value.ts';

type Changes = Output<'config.diff'>['changes'];

/** `config show`: the copy that counts. */
export const show = shown('config.show', ({ accepted, hash, by, at }, look) => {
  if (accepted === null) return ['No bulkhead.yaml is accepted: the defaults count.', '  bulkhead help bulkhead.yaml'];
  const who = `accepted by ${by ?? 'nobody'}, ${at === null ? '–' : when(at, look.now)}, ${hash ?? ''}`;
  return [...yamlLines(accepted), look.paint.dim(escapeText(who))];
});

/** `config diff`: what the file in the app would change. */
export const diff = shown('config.diff', ({ changes, hash }, look) => {
  if (hash === null) return ['There is no bulkhead.yaml in it.', '  bulkhead help bulkhead.yaml'];
  if (changes.length === 0) return ['Nothing: what is accepted is what the file says.'];
  return [...changeLines(changes, look), look.paint.dim(`proposal ${escapeText(hash)}`)];
});

/** `config accept`: a code that is asked for accepts what was shown just before, and nothing newer. */
export const accept: Run<'config.accept'> = async (context, input, flags) => {
  const before = async () => (input.hash === undefined ? { hash: await showChanges(context, input.ref) } : {});
  const accepted = await perform(context, 'config.accept', input, flags, { before });
  answer(context, accepted, flags, ({ paint }) => [
    `${paint.good('✔')} the bulkhead.yaml of ${escapeText(accepted.ref)} counts from its next start ${paint.dim(escapeText(accepted.hash.slice(0, 12)))}`,
  ]);
  return 0;
};

async function showChanges({ client, terminal }: Context, ref: string): Promise<string | undefined> {
  const { changes, hash } = await client.call('config.diff', { ref });
  terminal.say(changeLines(changes, { paint: terminal.paintError }));
  return hash ?? undefined;
}

/** Changes a key at a time: what counts now, and what is proposed. */
export function changeLines(changes: Changes, { paint }: Pick<Look, 'paint'>): string[] {
  return changes.flatMap(({ key, accepted, proposed }) => [
    escapeText(key.replace(/^content\./, 'what runs as hook ')),
    ...(isText(accepted) || isText(proposed)
      ? contentLines(accepted, proposed, paint)
      : valueLines(key, accepted, proposed, paint)),
  ]);
}

type Paint = Look['paint'];

function valueLines(key: string, accepted: unknown, proposed: unknown, paint: Paint): string[] {
  return [
    ...(isNothing(accepted) ? [] : [paint.bad(`  - ${valueText(key, accepted)}`)]),
    ...(isNothing(proposed) ? [] : [paint.good(`  + ${valueText(key, proposed)}`)]),
  ];
}

/** A script, line by line, with two lines around each change. */
function contentLines(accepted: unknown, proposed: unknown, paint: Paint): string[] {
  const trim = (part: unknown): string => (typeof part === 'string' ? part.replace(/\n$/, '') : '');
  const whole = lineDiff(trim(accepted), trim(proposed)).filter(
    (line) => line.mark === ' ' || line.text !== '' || !isNothing(accepted),
  );
  const near = (at: number): boolean => whole.slice(Math.max(0, at - 2), at + 3).some((line) => line.mark !== ' ');
  return whole.flatMap((line, at) => {
    if (!near(at)) return near(at - 1) ? [paint.dim('    …')] : [];
    const text = `  ${line.mark} ${escapeText(line.text)}`;
    return [line.mark === '+' ? paint.good(text) : line.mark === '-' ? paint.bad(text) : text];
  });
}

const isText = (part: unknown): boolean => typeof part === 'string' && part.includes('\n');

const isNothing = (part: unknown): boolean => part === null || part === undefined;

/** An accepted file as it would be written, in YAML's own JSON subset for the leaves. */
function yamlLines(file: unknown, indent = ''): string[] {
  if (typeof file !== 'object' || file === null || Array.isArray(file)) return [indent + valueText('', file)];
  return Object.entries(file).flatMap(([key, part]) => {
    const inner = typeof part === 'object' && part !== null && !Array.isArray(part) && Object.keys(part).length > 0;
    const name = `${indent}${escapeText(key)}:`;
    return inner ? [name, ...yamlLines(part, `${indent}  `)] : [`${name} ${valueText(key, part)}`];
  });
}
