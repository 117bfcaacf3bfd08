import { buildApplication, buildCommand, buildRouteMap, run, type Command, type RouteMap } from '@stricli/core';
import path from 'node:path';
import { OPERATIONS, type OperationName } from '../contract/operations.ts';
import { runFor } from './commands.ts';
import type { CommonFlags, Context } from './context.ts';
import { deriveCommand } from './derive.ts';
import { fail } from './fail.ts';

type RoutingTarget<C extends Context> = Command<C> | RouteMap<C>;

const VERSION = '0.1.0';
/** Exit code of a word or flag that is none. */
const USAGE = 2;
/** Commands whose exit codes are the command's own: our failures are 125, as Docker's are. */
const PASS_THROUGH = new Set(['exec', 'shell']);

/** The commands: those of the table, by their words, and the few that ask nothing of the daemon. */
function routes(): RouteMap<Context> {
  const tree: Record<string, RoutingTarget<Context> | Record<string, RoutingTarget<Context>>> = {};
  for (const name of Object.keys(OPERATIONS) as OperationName[]) {
    const [first = '', second] = OPERATIONS[name].command.split(' ');
    if (first === '') continue;
    const command = deriveCommand(name, runFor(name), { ours: PASS_THROUGH.has(first) });
    if (second === undefined) tree[first] = command;
    else tree[first] = { ...(tree[first] as Record<string, RoutingTarget<Context>>), [second]: command };
  }
  const nested = Object.entries(tree).map(([word, target]) => [word, isRoute(target) ? target : group(word, target)]);
  return buildRouteMap({
    routes: { ...Object.fromEntries(nested), shell: shell(), help: help(), completion: completion() } as Record<string, RoutingTarget<Context>>,
    docs: { brief: 'Walls for AI agents on machines you run: production in apps, agents in forks of it' },
  });
}

const isRoute = (target: unknown): target is RoutingTarget<Context> =>
  typeof target === 'object' && target !== null && 'kind' in target;

function group(word: string, commands: Record<string, RoutingTarget<Context>>): RoutingTarget<Context> {
  const brief: Record<string, string> = {
    trash: 'What was removed, and waits',
    config: "An app's own file: what counts, and what is proposed",
    audit: 'What was asked, by whom, and what came of it',
  };
  return buildRouteMap({ routes: commands, docs: { brief: brief[word] ?? word } });
}

function shell(): Command<Context> {
  return buildCommand({
    parameters: {
      flags: { code: { kind: 'parsed', parse: String, brief: 'code of the second factor, where it is asked for', optional: true } },
      positional: { kind: 'tuple', parameters: [{ parse: String, brief: 'the app or fork', placeholder: 'REF' }] },
    },
    docs: {
      brief: 'Open a shell in the cell of an app or fork, as its user agent',
      fullDescription: 'Open a shell in the cell of an app or fork, as its user agent\n\nExamples\n  bulkhead shell shop:fix',
    },
    async func(this: Context, flags: { code?: string }, ref: string) {
      const { exec } = await import('./exec.ts');
      await exec(this, { ref, command: ['/bin/bash', '-l'], interactive: true, terminal: true }, flags).catch((error: unknown) =>
        fail(this, error, false, true),
      );
    },
  }) as Command<Context>;
}

function help(): Command<Context> {
  return buildCommand({
    parameters: { positional: { kind: 'tuple', parameters: [{ parse: String, brief: 'the topic', placeholder: 'TOPIC', optional: true }] } },
    docs: { brief: 'Explain a topic: bulkhead.yaml, refs, sign-in, exit-codes, production', fullDescription: 'Explain a topic\n\nExamples\n  bulkhead help sign-in\n  bulkhead help bulkhead.yaml' },
    async func(this: Context, _flags: object, topic?: string) {
      const { helpTopic } = await import('./help.ts');
      helpTopic(this, topic);
    },
  }) as Command<Context>;
}

function completion(): Command<Context> {
  return buildCommand({
    parameters: { positional: { kind: 'tuple', parameters: [{ parse: String, brief: 'bash, zsh or fish', placeholder: 'SHELL' }] } },
    docs: { brief: 'Print completion for a shell', fullDescription: 'Print completion for a shell\n\nExamples\n  bulkhead completion bash > /etc/bash_completion.d/bulkhead' },
    async func(this: Context, _flags: object, name: string) {
      const { completionScript } = await import('./completion.ts');
      completionScript(this, name);
    },
  }) as Command<Context>;
}

/** Words of later parts: refused with what is there instead. */
const NOT_YET: Record<string, string> = {
  '-H': 'Other machines cannot be asked yet: run bulkhead on the machine itself',
  '--ask': 'A refused command cannot be held for a person yet: a person signs in, or you work in a fork',
};

async function main(): Promise<void> {
  const words = process.argv.slice(2);
  const context: Context = { process };
  if (words[0] === 'daemon') return daemon(context, words.slice(1));
  if (words[0] === '--version') return void process.stdout.write(`${VERSION}\n`);
  if (words.length === 0) return (await import('./overview.ts')).overview(context);
  if (words[0] === '__complete') return (await import('./completion.ts')).complete(context, words.slice(1));
  const before = words.slice(0, words.includes('--') ? words.indexOf('--') : undefined);
  const early = before.find((word) => word in NOT_YET);
  if (early !== undefined) {
    const { AppError } = await import('../contract/errors.ts');
    return fail(context, new AppError('not-built', NOT_YET[early] ?? ''), words.includes('--json'), PASS_THROUGH.has(words[0] ?? ''));
  }
  const app = buildApplication(routes(), {
    name: 'bulkhead',
    scanner: { caseStyle: 'allow-kebab-for-camel', allowArgumentEscapeSequence: true },
    documentation: { disableAnsiColor: true },
  });
  await run(app, words, context as never);
  // Codes of the parser itself are negative: words that are none, flags that do not parse.
  const code = Number(process.exitCode ?? 0);
  if (code < 0 || code > 255) process.exitCode = PASS_THROUGH.has(words[0] ?? '') ? 125 : USAGE;
}

/** The daemon is a program of its own beside this one; it takes over this process. */
function daemon(context: Context, words: readonly string[]): void {
  if (words.includes('--help') || words.includes('-h')) {
    context.process.stdout.write('USAGE\n  bulkhead daemon\n\nRun the daemon in the foreground, as root. SIGTERM stops it; cells go on.\n\nExamples\n  sudo bulkhead daemon\n');
    return;
  }
  const bundle = path.join(__dirname, 'bulkheadd.cjs');
  process.argv[1] = bundle;
  require(bundle);
}

void main();
