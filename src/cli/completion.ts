import { AppError } from '../contract/errors.ts';
import { OPERATIONS } from '../contract/operations.ts';
import type { Operation } from '../contract/operation.ts';
import type { Context } from './context.ts';
import { fail } from './fail.ts';
import { clientFor } from './request.ts';

const SCRIPTS: Record<string, string> = {
  bash: `_bulkhead() {
  local IFS=$'\\n'
  COMPREPLY=($(bulkhead __complete "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
  # A ref has a colon, which bash takes for the end of a word.
  type __ltrim_colon_completions >/dev/null 2>&1 && __ltrim_colon_completions "\${COMP_WORDS[COMP_CWORD]}"
}
complete -F _bulkhead bulkhead
`,
  zsh: `#compdef bulkhead
_bulkhead() { local -a found; found=("\${(@f)$(bulkhead __complete "\${words[@]:1:$((CURRENT-1))}" 2>/dev/null)}"); compadd -a found; }
compdef _bulkhead bulkhead
`,
  fish: `complete -c bulkhead -f -a '(bulkhead __complete (commandline -opc)[2..] (commandline -ct) 2>/dev/null)'
`,
};

/** Prints what a shell reads to complete our words. */
export function completionScript(context: Context, name: string): void {
  const script = SCRIPTS[name];
  if (script !== undefined) return void context.process.stdout.write(script);
  fail(context, new AppError('usage', `There is no completion for "${name.slice(0, 40)}": use bash, zsh or fish`), false);
}

/** The words that may follow; refs are asked of the daemon. */
export async function complete(context: Context, words: readonly string[]): Promise<void> {
  const partial = words.at(-1) ?? '';
  const before = words.slice(0, -1);
  const found = await candidates(context, before, partial).catch(() => []);
  context.process.stdout.write(found.filter((word) => word.startsWith(partial)).map((word) => `${word}\n`).join(''));
}

async function candidates(context: Context, before: readonly string[], partial: string): Promise<string[]> {
  const commands = Object.values(OPERATIONS).map((one) => (one as unknown as Operation).command).filter((command) => command !== '');
  const line = before.join(' ');
  const operation = Object.values(OPERATIONS).find((one) => {
    const { command } = one as unknown as Operation;
    return command !== '' && (line === command || line.startsWith(`${command} `));
  }) as unknown as Operation | undefined;
  if (operation === undefined && before[0] !== 'shell') {
    const follow = commands.filter((command) => line === '' || command.startsWith(`${line} `));
    const words = follow.map((command) => command.split(' ')[before.length] ?? '');
    return [...new Set([...words, ...(line === '' ? ['shell', 'help', 'completion', 'daemon'] : [])])].filter((word) => word !== '').toSorted();
  }
  if (partial.startsWith('-')) return flagsOf(operation);
  const { volumes } = await clientFor(context).call('app.list', {});
  return volumes.map((one) => one.ref);
}

function flagsOf(operation: Operation | undefined): string[] {
  const own = Object.entries(operation?.input ?? {}).filter(([, field]) => field.positional === undefined && field.internal !== true);
  return [...own.map(([name]) => `--${name}`), '--json', '--verbose', '--help', ...(operation?.effect === 'read' ? [] : ['--plan', '--code'])];
}
