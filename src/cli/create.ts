import { AppError } from '../contract/errors.ts';
import { quote } from '../contract/names.ts';
import { formatBytes, formatMs } from '../contract/units.ts';
import type { Output } from '../contract/operations.ts';
import { tar, type TarCount } from '../client/tar.ts';
import { showChanges } from './views/config.ts';
import type { CommonFlags, Context } from './context.ts';
import { createProgress } from './progress.ts';
import { ask } from './prompt.ts';
import { clientFor, request, withCode } from './request.ts';
import { paintFor } from './terminal.ts';

/** uid of a cell's user `agent`, who owns what nobody else may be given. */
const AGENT = 1000;

/** Makes an app: reads the directory as the caller, streams it, then asks about its bulkhead.yaml. */
export async function create(context: Context, input: Record<string, unknown>, flags: CommonFlags): Promise<void> {
  const from = input['from'] as string | undefined;
  const root = process.getuid?.() === 0;
  const count: TarCount = { files: 0, bytes: 0, renamed: 0, changed: [] };
  const made = await withCode(flags, (code) => send(context, input, { code, from, root, count, flags }));
  const { stdout, stderr, env } = context.process;
  if (flags.json === true) {
    stdout.write(`${JSON.stringify({ type: 'result', result: { ...made, renamed: count.renamed } })}\n`);
    return;
  }
  const paint = paintFor(stderr, env);
  if (count.renamed > 0) stderr.write(`${paint.warn('!')} ${count.renamed} files belonged to other users: now agent (${AGENT}) inside\n`);
  for (const file of count.changed.slice(0, 5)) stderr.write(`${paint.warn('!')} ${quote(file)} changed while it was read\n`);
  stdout.write(`${made.ref} exists, down\n`);
  if (made.proposal) await offer(context, made.ref, flags);
  else stdout.write(`  bulkhead shell ${made.ref}      bulkhead fork ${made.ref}\n`);
}

async function send(
  context: Context,
  input: Record<string, unknown>,
  how: { code: string | undefined; from: string | undefined; root: boolean; count: TarCount; flags: CommonFlags },
): Promise<Output<'app.create'>> {
  const { from, count } = how;
  const progress = createProgress(context, how.flags.json === true);
  const started = performance.now();
  const stream = await clientFor(context).stream('app.create', { ...input, owners: how.root } as never, { code: how.code });
  let result: Output<'app.create'> | undefined;
  let failed: unknown;
  const upload = async (): Promise<void> => {
    if (from === undefined) return stream.endInput();
    for await (const chunk of tar(from, { owners: how.root, owner: AGENT }, count)) await stream.write(chunk);
    stream.endInput();
    progress.event({ type: 'step', key: 'read', label: `read ${formatBytes(count.bytes)}, ${count.files} files`, state: 'done', ms: performance.now() - started });
  };
  const uploading = upload().catch((error: unknown) => {
    failed ??= error;
    stream.close();
  });
  const whole = await stream.carry({
    data: () => {},
    control(message) {
      if (message.type === 'result') result = message.result as Output<'app.create'>;
      else if (message.type === 'error') failed = AppError.from(message.error);
      else if (message.type === 'step' || message.type === 'note') progress.event(message);
    },
  });
  progress.stop();
  if (whole) stream.close();
  await uploading;
  if (failed !== undefined) throw failed;
  if (result === undefined) throw new AppError('no-daemon', 'The daemon went away before the app was made', { next: ['bulkhead status'] });
  return result;
}

/** Shows what the app's file asks for, and takes the code that accepts exactly that. */
async function offer(context: Context, ref: string, flags: CommonFlags): Promise<void> {
  const { stdout } = context.process;
  const later = `It counts once it is accepted:  bulkhead config accept ${ref}\n`;
  const diff = await request(context, 'config.diff', { ref }, flags).catch((error: unknown) => {
    if (!(error instanceof AppError)) throw error;
    stdout.write(`Its bulkhead.yaml cannot be used: ${error.message}\n  bulkhead config diff ${ref}\n`);
    return undefined;
  });
  if (diff?.hash == null) return;
  stdout.write('bulkhead.yaml asks for:\n');
  showChanges(context, diff.changes);
  const code = await ask('Code, to accept that: ');
  if (code === undefined) return void stdout.write(later);
  const started = performance.now();
  await request(context, 'config.accept', { ref, hash: diff.hash }, { ...flags, code });
  stdout.write(`accepted in ${formatMs(performance.now() - started)}\n  bulkhead up ${ref}\n`);
}
