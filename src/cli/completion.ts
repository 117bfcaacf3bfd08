import { AppError } from '../contract/errors.ts';
import { quote } from '../contract/names.ts';
import type { Context } from './context.ts';
import { flagsOf, positionalsOf, type Spec } from './spec.ts';
import { TOPICS } from './topics.ts';

/** Milliseconds that a key press may wait for the daemon. */
const PATIENCE = 500;

/**
 * What each shell reads. bash splits words at colons, which refs have: the line is split
 * at blanks instead, and what stands before the last colon is taken off the candidates.
 */
const SCRIPTS: Record<string, string> = {
  bash: `_bulkhead() {
  local line="\${COMP_LINE:0:COMP_POINT}" words last
  read -ra words <<< "$line"
  last="\${words[-1]}"
  [[ "$line" == *[[:space:]] ]] && { words+=(""); last=""; }
  local IFS=$'\\n' cut="\${last%"\${last##*:}"}" found=()
  mapfile -t found < <(bulkhead __complete "\${words[@]:1}" 2>/dev/null | cut -f 1)
  COMPREPLY=("\${found[@]#"$cut"}")
}
complete -F _bulkhead bulkhead
`,
  zsh: `#compdef bulkhead
_bulkhead() {
  local -a found
  found=("\${(@f)$(bulkhead __complete "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  found=("\${(@)found//:/\\\\:}")
  found=("\${(@)found/$'\\t'/:}")
  _describe bulkhead found
}
if [ "$funcstack[1]" = _bulkhead ]; then _bulkhead; else compdef _bulkhead bulkhead; fi
`,
  fish: `complete --command bulkhead --no-files --arguments '(bulkhead __complete (commandline --tokenize --cut-at-cursor --current-process)[2..] (commandline --current-token --cut-at-cursor) 2>/dev/null)'
complete --command bulkhead --condition '__fish_seen_subcommand_from create' --long-option from --force-files --require-parameter
`,
};

/** `completion SHELL`. */
export async function completion({ terminal }: Context, shell: string): Promise<number> {
  if (!Object.hasOwn(SCRIPTS, shell))
    throw new AppError('usage', `There is no completion for ${quote(shell)}`, {
      next: Object.keys(SCRIPTS).map((name) => `bulkhead completion ${name}`),
    });
  terminal.stdout.write(SCRIPTS[shell] ?? '');
  return 0;
}

interface Candidate {
  word: string;
  doc: string;
}

/** `__complete WORD…`: what the last word may become, a line each, with a tab before what it means. */
export async function complete(context: Context, specs: readonly Spec[], words: readonly string[]): Promise<number> {
  const partial = words.at(-1) ?? '';
  const done = words.slice(0, -1);
  const found = done.includes('--') ? [] : await candidates(context, specs, done, partial);
  context.terminal.print(
    found.filter(({ word }) => word.startsWith(partial)).map(({ word, doc }) => `${word}\t${doc}`),
  );
  return 0;
}

async function candidates(
  context: Context,
  specs: readonly Spec[],
  done: readonly string[],
  partial: string,
): Promise<Candidate[]> {
  const spec = specs.find((one) => one.words.every((word, at) => done[at] === word));
  if (spec === undefined) return commands(specs, done);
  const flags = flagsOf(spec);
  const last = done.at(-1) ?? '';
  const open = flags.find(
    (flag) => flag.placeholder !== undefined && (`--${flag.name}` === last || `-${flag.alias}` === last),
  );
  if (open !== undefined) return open.name === 'from' && spec.operation !== 'app.create' ? refs(context) : [];
  if (partial.startsWith('-')) return flags.map((flag) => ({ word: `--${flag.name}`, doc: flag.doc }));
  return places(context, spec, wordsOf(spec, done).length);
}

/** The next words of commands that begin as what is written. */
function commands(specs: readonly Spec[], done: readonly string[]): Candidate[] {
  const next = new Map<string, string>();
  for (const spec of specs) {
    const word = spec.words[done.length];
    if (word === undefined || !done.every((each, at) => spec.words[at] === each)) continue;
    next.set(word, spec.words.length > done.length + 1 ? `${word} …` : spec.doc);
  }
  return [...next].map(([word, doc]) => ({ word, doc }));
}

/** What stands without a flag after the command itself. */
function wordsOf(spec: Spec, done: readonly string[]): string[] {
  const values = new Set(
    flagsOf(spec).flatMap((flag) => (flag.placeholder === undefined ? [] : [`--${flag.name}`, `-${flag.alias}`])),
  );
  return done
    .slice(spec.words.length)
    .filter((word, at, all) => !word.startsWith('-') && !values.has(all[at - 1] ?? ''));
}

async function places(context: Context, spec: Spec, at: number): Promise<Candidate[]> {
  const place = positionalsOf(spec)[at]?.name;
  if (place === 'ref') return refs(context);
  if (place === 'name' && spec.words[0] === 'trash') return trash(context);
  if (place === 'topic') return Object.keys(TOPICS).map((word) => ({ word, doc: 'topic' }));
  if (place === 'shell') return Object.keys(SCRIPTS).map((word) => ({ word, doc: 'shell' }));
  return [];
}

async function refs({ client }: Context): Promise<Candidate[]> {
  const list = await client.call('app.list', {}, { signal: AbortSignal.timeout(PATIENCE) }).catch(() => undefined);
  return (list?.volumes ?? []).map(({ ref, kind, state }) => ({ word: ref, doc: `${kind}, ${state}` }));
}

async function trash({ client }: Context): Promise<Candidate[]> {
  const list = await client.call('trash.list', {}, { signal: AbortSignal.timeout(PATIENCE) }).catch(() => undefined);
  return (list?.items ?? []).map(({ name, kind }) => ({ word: name, doc: kind }));
}
