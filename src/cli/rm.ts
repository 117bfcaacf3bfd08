import { AppError } from '../contract/errors.ts';
import { escapeText, parseRef, quote } from '../contract/names.ts';
import type { Run } from './context.ts';
import { answer, perform } from './perform.ts';
import { ask } from './terminal/prompt.ts';
import { when } from './terminal/times.ts';

/** `rm`: into the trash. An app's name is asked for again, once the daemon would let it go. */
export const rm: Run<'volume.remove'> = async (context, input, flags) => {
  const { ref } = input;
  const isApp = parseRef(ref).tag === undefined;
  const before = async () => (isApp && input.confirm === undefined ? { confirm: await askName(ref) } : {});
  const removed = await perform(context, 'volume.remove', input, flags, { before });
  answer(context, removed, flags, ({ now }) => [
    `${escapeText(removed.ref)} is in the trash until ${when(removed.until, now)}`,
    `  bulkhead trash restore ${escapeText(removed.trash)}`,
  ]);
  return 0;
};

/** Asked after the policy and before the factor, so that a code is not spent in vain. */
async function askName(ref: string): Promise<string> {
  const name = await ask(`${ref} is production. Its name again, to remove it: `);
  if (name === ref) return name;
  throw new AppError('usage', `${ref} stays: ${quote(name)} is not its name`, { next: [`bulkhead rm ${ref}`] });
}
