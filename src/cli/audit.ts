import type { AuditRecord } from '../contract/authority.ts';
import type { CommonFlags, Context } from './context.ts';
import { follow } from './exec.ts';
import { request } from './request.ts';
import { auditLines, show } from './views/show.ts';

/** Records as they come. */
export async function tail(context: Context, input: Record<string, unknown>, flags: CommonFlags): Promise<void> {
  let rest = '';
  await follow(context, 'audit.tail', input, flags, (bytes) => {
    if (flags.json === true) return bytes;
    const lines = (rest + Buffer.from(bytes).toString('utf8')).split('\n');
    rest = lines.pop() ?? '';
    return Buffer.from(lines.map((line) => `${auditLines([JSON.parse(line) as AuditRecord])}\n`).join(''));
  });
}

/** Fails where the log is not intact, so that a script sees it. */
export async function verify(context: Context, input: Record<string, unknown>, flags: CommonFlags): Promise<void> {
  const result = await request(context, 'audit.verify', input as never, flags);
  show(context, 'audit.verify', result, flags);
  if (!result.intact) context.process.exitCode = 1;
}
