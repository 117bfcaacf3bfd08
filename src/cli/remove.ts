import { parseRef } from '../contract/names.ts';
import type { CommonFlags, Context } from './context.ts';
import { ask } from './prompt.ts';
import { request } from './request.ts';
import { show } from './views/show.ts';

/** Removing an app asks for its name again, where it was not given. */
export async function remove(context: Context, input: Record<string, unknown>, flags: CommonFlags): Promise<void> {
  const ref = parseRef(String(input['ref']));
  let confirm = input['confirm'] as string | undefined;
  if (ref.tag === undefined && confirm === undefined && context.process.stdin.isTTY === true && flags.json !== true)
    confirm = await ask(`${ref.app} is production. Its name again, to move it to the trash: `);
  const result = await request(context, 'volume.remove', { ...input, ...(confirm === undefined ? {} : { confirm }) } as never, flags);
  show(context, 'volume.remove', result, flags);
}
