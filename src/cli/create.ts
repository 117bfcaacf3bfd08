import os from 'node:os';
import { resultOf } from '../client/connect.ts';
import { pack, survey, type Reader, type Tally } from '../client/tar.ts';
import type { ClientStream } from '../client/stream.ts';
import { escapeText, quote } from '../contract/names.ts';
import type { Input, Output } from '../contract/operations.ts';
import { formatBytes } from '../contract/units.ts';
import type { Context, Flags, Run } from './context.ts';
import { answer, planLines } from './perform.ts';
import { offerProposal } from './proposal.ts';
import { createProgress, type Progress } from './terminal/progress.ts';
import { count, wrap } from './terminal/text.ts';

type Made = Output<'app.create'>;

const READ = 'client.read';
/** Of making an app, whoever waits wants to know what was read; the rest is said when it takes long. */
const NOT_READ = /^(?!client\.read$)/;
/** Paths that a plan lists; `-v` lists them all. */
const LISTED = 10;

/** `create`: an app, empty or from a directory that is read as whoever runs this. */
export const create: Run<'app.create'> = async (context, input, flags) => {
  const reader: Reader = { uid: process.getuid?.() ?? 0 };
  // Asked before anything is read: who may not make it learns so at once.
  const plan = await context.client.plan('app.create', input);
  const tally = input.from === undefined ? undefined : survey(input.from, reader);
  if (flags.plan) {
    answer(context, { ...plan, ...tally }, flags, () => [...planLines(plan, 'create'), ...tallyLines(tally, flags)]);
    return 0;
  }
  const made = await upload(context, input, flags, { reader, tally });
  if (!flags.json) {
    sayRenamed(context, tally);
    sayOfRoot(context, tally);
  }
  const accepted = made.proposal ? await offerProposal(context, made.ref, flags) : false;
  if (flags.json)
    context.terminal.json({ type: 'result', result: { ...made, renamed: tally?.renamedCount ?? 0, accepted } });
  else context.terminal.print(madeLines(context, made, accepted));
  return 0;
};

function madeLines({ terminal }: Context, made: Made, accepted: boolean): string[] {
  const ref = escapeText(made.ref);
  const next =
    accepted || !made.proposal
      ? `  bulkhead up ${ref}      bulkhead shell ${ref}`
      : `  bulkhead config diff ${ref}      bulkhead config accept ${ref}`;
  return [`${terminal.paint.good('✔')} ${ref} exists, down`, next];
}

interface Source {
  reader: Reader;
  tally: Tally | undefined;
}

async function upload(context: Context, input: Input<'app.create'>, flags: Flags, source: Source): Promise<Made> {
  const { client, terminal } = context;
  const progress = createProgress(terminal, flags.json ? 'json' : 'lines', flags.verbose, NOT_READ);
  try {
    const keep = source.reader.uid === 0 ? { owners: true } : {};
    const stream = await client.stream(
      'app.create',
      { ...input, ...keep },
      { code: flags.code, onEvent: (event) => progress.event(event) },
    );
    if (input.from !== undefined && source.tally !== undefined)
      await send(stream, input.from, { ...source, tally: source.tally }, progress);
    stream.endInput();
    return resultOf<Made>(await stream.ended, client.socket);
  } finally {
    progress.end();
  }
}

/** Sends a directory, as long as the daemon takes it. An error here ends the upload, and nothing is made. */
async function send(
  stream: ClientStream,
  from: string,
  { reader, tally }: Required<Source> & { tally: Tally },
  progress: Progress,
): Promise<void> {
  const label = `read ${formatBytes(tally.bytes)}, ${count(tally.files, 'file')} as ${userName()}`;
  const started = performance.now();
  let over = false;
  void stream.ended.then(() => (over = true));
  let read = 0;
  const onRead = (bytes: number): void => {
    read += bytes;
    progress.update(READ, `${formatBytes(read)} of ${formatBytes(tally.bytes)}`);
  };
  const onChange = (path: string): void =>
    progress.event({
      type: 'note',
      level: 'warn',
      text: `${path} changed while it was read: the app has what was there in part`,
    });
  progress.event({ type: 'step', key: READ, label, state: 'started' });
  try {
    for (const piece of pack(from, reader, { onRead, onChange })) {
      await stream.send(piece);
      // A turn of the loop, for what the daemon says meanwhile and for the line that moves.
      await new Promise((resolve) => setImmediate(resolve));
      if (over) return;
    }
  } catch (error) {
    stream.leave();
    throw error;
  }
  progress.event({ type: 'step', key: READ, label, state: 'done', ms: performance.now() - started });
}

function sayRenamed({ terminal }: Context, tally: Tally | undefined): void {
  if (tally === undefined || tally.renamedCount === 0) return;
  const { warn, dim } = terminal.paintError;
  const files = count(tally.renamedCount, 'file');
  terminal.say([
    `${warn('!')} ${files} belonged to other users: now agent (1000) inside   ${dim('(--plan lists them)')}`,
  ]);
}

/** Root keeps owners: what is root's is not the agent's to write, and nobody inside can give it away. */
function sayOfRoot({ terminal }: Context, tally: Tally | undefined): void {
  if (tally === undefined || tally.rootCount === 0) return;
  const text = `${count(tally.rootCount, 'file')} of root stay root's inside, and what runs there is agent (1000): where it has to write them, chown -R 1000:1000 the directory and create the app again`;
  terminal.say(wrap(`${terminal.paintError.warn('!')} ${text}`, terminal.widthError ?? 100, '  '));
}

function tallyLines(tally: Tally | undefined, { verbose }: Flags): string[] {
  if (tally === undefined) return [];
  const listed = verbose ? tally.renamed : tally.renamed.slice(0, LISTED);
  const more = tally.renamedCount - listed.length;
  return [
    `It would read ${formatBytes(tally.bytes)}, ${count(tally.files, 'file')} as ${userName()}.`,
    ...(tally.renamedCount === 0
      ? []
      : [`${count(tally.renamedCount, 'file')} of other users would belong to agent (1000):`]),
    ...listed.map((path) => `  ${quote(path)}`),
    ...(more > 0 ? [`  and ${more} more`] : []),
  ];
}

/** The name behind our uid; a uid without one is a number. */
function userName(): string {
  try {
    return os.userInfo().username;
  } catch {
    return `uid ${process.getuid?.() ?? 0}`;
  }
}
