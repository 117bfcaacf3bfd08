import { escapeText } from '../contract/names.ts';
import type { Output } from '../contract/operations.ts';
import type { Look } from './context.ts';
import { shown } from './perform.ts';
import { wrap } from './terminal/text.ts';
import { when } from './terminal/times.ts';

/** `whoami`: who the daemon takes us for, by what, and what follows from it. */
export const whoami = shown('caller.show', lines);

const LABEL = 14;

function lines(who: Output<'caller.show'>, look: Look): string[] {
  const user = who.user === null ? '' : ` (${who.user})`;
  const until = who.until === null ? '' : `, signed in until ${when(who.until, look.now)}`;
  const first = `${who.caller}${until}: uid ${who.uid}${user}, pid ${who.pid}, through ${who.channel}`;
  const seen = who.evidence.join('; ');
  const agent = who.agent === null ? undefined : seen === '' ? who.agent : `${who.agent}, by ${seen}`;
  return [
    look.paint.bold(escapeText(first)),
    ...labelled('looks like', agent, look),
    ...labelled('because', agent === undefined && seen !== '' ? seen : undefined, look),
    ...labelled('may', list(who.may), look),
    ...labelled('may not', list(who.mayNot), look),
  ];
}

const list = (texts: readonly string[]): string | undefined => (texts.length === 0 ? undefined : texts.join('; '));

function labelled(label: string, text: string | undefined, { paint, width }: Look): string[] {
  if (text === undefined) return [];
  const [first = '', ...more] = wrap(escapeText(text), (width ?? 100) - LABEL);
  return [`  ${paint.dim(label.padEnd(LABEL - 2))}${first}`, ...more.map((line) => ' '.repeat(LABEL) + line)];
}
