import { run as runApplication, type ApplicationContext } from '@stricli/core';
import { connect, type Client } from '../client/connect.ts';
import { socketPath } from '../client/socket.ts';
import { AppError, ERRORS } from '../contract/errors.ts';
import type { Context } from './context.ts';
import { createApplication } from './routes.ts';
import { usageOf, type Spec } from './spec.ts';
import { allSpecs } from './specs.ts';
import { sayError, toAppError } from './terminal/say-error.ts';
import { createTerminal, type Terminal } from './terminal/terminal.ts';

/** Exit code of a command whose exit codes are its own, when we are the ones that fail. */
const OURS = 125;
/** What a shell shows for SIGPIPE: whoever read our output has gone. */
const NOBODY_READS = 141;

/** Runs one command line, and ends the process with its exit code. */
export async function run(words: readonly string[]): Promise<void> {
  const terminal = createTerminal(process);
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => process.exit(NOBODY_READS));
  const exit = await execute(terminal, words);
  await terminal.flush();
  process.exit(exit);
}

/** Runs one command line on a terminal; returns its exit code. Never throws. */
export async function execute(terminal: Terminal, written: readonly string[]): Promise<number> {
  const specs = allSpecs();
  const words = inPlace(written);
  const spec = specOf(specs, words);
  const json = before(words).includes('--json');
  let client: Client | undefined;
  try {
    refuseNotBuilt(before(words));
    client = connect({ socket: socketPath(terminal.env) });
    if (words.length === 0)
      return await (await import('./overview.ts')).overview({ process: terminal, terminal, client });
    if (words[0] === '__complete')
      return await (
        await import('./completion.ts')
      ).complete({ process: terminal, terminal, client }, specs, words.slice(1));
    return await parseAndRun({ process: terminal, terminal, client }, specs, words);
  } catch (error) {
    const known = toAppError(error);
    if (json) terminal.json({ type: 'error', error: { ...known.body(), ...requestOf(error) } });
    else sayError(terminal, known, before(words).some(isVerbose) ? await evidence(client, known, error) : []);
    return spec?.ours125 === true ? OURS : ERRORS[known.code].exit;
  }
}

async function parseAndRun(context: Context, specs: readonly Spec[], words: readonly string[]): Promise<number> {
  let exit: number | undefined;
  const wrong: string[] = [];
  const spec = specOf(specs, words);
  // Building all commands takes 7 ms; the rest is needed to say what was meant, or what there is.
  const application = createApplication(spec === undefined ? specs : [spec], (code) => (exit = code));
  // The parser's own complaints are caught, to be said like every other error.
  const process = {
    stdout: context.terminal.stdout,
    stderr: { write: (text: string) => void wrong.push(text.trim()) },
    env: context.terminal.env,
  };
  await runApplication(application, words, { ...context, process } as Context & ApplicationContext);
  if (wrong.length > 0) throw usageError(spec, words, wrong);
  return exit ?? 0;
}

function usageError(spec: Spec | undefined, words: readonly string[], wrong: readonly string[]): AppError {
  const [message = '', ...more] = wrong;
  if (spec === undefined) return new AppError('usage', message, { next: ['bulkhead help'] });
  const [, ref = '', ...command] = words;
  if (spec.operation === 'session.exec' && !words.includes('--') && /no flag/.test(message) && !ref.startsWith('-'))
    return new AppError('usage', message, {
      why: 'The flags of a command that runs in a cell stand after "--", with the command.',
      next: [`bulkhead exec ${ref} -- ${command.join(' ')}`],
    });
  return new AppError('usage', message, {
    why: more.length > 0 ? `${more.join('. ')}.` : undefined,
    next: [usageOf(spec), `bulkhead ${spec.words.join(' ')} --help`],
  });
}

/** The command that the words begin with. */
function specOf(specs: readonly Spec[], words: readonly string[]): Spec | undefined {
  return specs.find((spec) => spec.words.every((word, at) => words[at] === word));
}

/** What stands before `--`: the rest belongs to a command in a cell. */
function before(words: readonly string[]): readonly string[] {
  const end = words.indexOf('--');
  return end === -1 ? words : words.slice(0, end);
}

/** Flags that all commands have may stand before the command as well: they are moved behind it. */
function inPlace(words: readonly string[]): readonly string[] {
  const first = words.findIndex((word) => word !== '--json' && !isVerbose(word));
  if (first <= 0) return words;
  const rest = words.slice(first);
  const length = rest[0] === 'trash' || rest[0] === 'config' || rest[0] === 'audit' ? 2 : 1;
  return [...rest.slice(0, length), ...words.slice(0, first), ...rest.slice(length)];
}

const isVerbose = (word: string): boolean => word === '-v' || word === '--verbose';

/** Options of parts that do not exist yet, with what there is instead. */
const NOT_BUILT: Record<string, { message: string; next: string[] }> = {
  '-H': { message: 'Cannot ask another machine (-H): that is not built yet', next: ['ssh HOST bulkhead …'] },
  '--host': { message: 'Cannot ask another machine (--host): that is not built yet', next: ['ssh HOST bulkhead …'] },
  '--ask': {
    message: 'Cannot hold a request for a person (--ask): that is not built yet',
    next: ['bulkhead fork APP:TAG', 'bulkhead sign-in'],
  },
  '--key': {
    message: 'Cannot use a key (--key): keys of agents and automations are not built yet',
    next: ['bulkhead whoami'],
  },
};

function refuseNotBuilt(words: readonly string[]): void {
  for (const word of words) {
    const name = word.split('=')[0] ?? '';
    if (!Object.hasOwn(NOT_BUILT, name)) continue;
    const { message, next } = NOT_BUILT[name] as { message: string; next: string[] };
    throw new AppError('not-built', message, { next });
  }
}

const requestOf = (error: unknown): { request?: string } =>
  error instanceof Error && 'request' in error && typeof error.request === 'string' ? { request: error.request } : {};

/** For `-v`: the code, the request in the audit log, and on a refusal who the daemon takes us for. */
async function evidence(client: Client | undefined, error: AppError, thrown: unknown): Promise<string[]> {
  const { request } = requestOf(thrown);
  const lines = [
    `code ${error.code}${request === undefined ? '' : `, request ${request}`}${client === undefined ? '' : `, socket ${client.socket}`}`,
  ];
  if (client === undefined || ERRORS[error.code].exit !== 3) return lines;
  const who = await client.call('caller.show', {}).catch(() => undefined);
  if (who === undefined) return lines;
  return [
    ...lines,
    `taken for ${who.caller}, uid ${who.uid}, pid ${who.pid}`,
    ...who.evidence.map((text) => `  ${text}`),
  ];
}
