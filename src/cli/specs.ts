import { optionalText, text, type Fields } from '../contract/fields.ts';
import type { Operation } from '../contract/operation.ts';
import { OPERATIONS, type Input, type OperationName } from '../contract/operations.ts';
import type { Context, Flags, Run } from './context.ts';
import { showPlan } from './perform.ts';
import { commonOf, type Spec } from './spec.ts';

/** Asked on the way of other commands (a law holds the table to it). */
type WithoutCommand = 'machine.confirm' | 'session.attach';

/** The file of each command, read when it is run. An operation without one does not compile. */
const COMMANDS: { [N in Exclude<OperationName, WithoutCommand>]: () => Promise<Run<N>> } = {
  'machine.init': async () => (await import('./init.ts')).init,
  'machine.doctor': async () => (await import('./doctor.ts')).doctor,
  'machine.status': async () => (await import('./status.ts')).status,
  'app.create': async () => (await import('./create.ts')).create,
  'app.list': async () => (await import('./ls.ts')).ls,
  'volume.remove': async () => (await import('./rm.ts')).rm,
  'fork.create': async () => (await import('./fork.ts')).fork,
  'fork.reset': async () => (await import('./fork.ts')).reset,
  'fork.extend': async () => (await import('./fork.ts')).extend,
  'cell.up': async () => (await import('./cell.ts')).up,
  'cell.down': async () => (await import('./cell.ts')).down,
  'cell.restart': async () => (await import('./cell.ts')).restart,
  'cell.processes': async () => (await import('./ps.ts')).ps,
  'cell.logs': async () => (await import('./logs.ts')).logs,
  'session.exec': async () => (await import('./exec.ts')).exec,
  'point.list': async () => (await import('./points.ts')).points,
  'trash.list': async () => (await import('./trash.ts')).list,
  'trash.restore': async () => (await import('./trash.ts')).restore,
  'trash.purge': async () => (await import('./trash.ts')).purge,
  'config.show': async () => (await import('./config.ts')).show,
  'config.diff': async () => (await import('./config.ts')).diff,
  'config.accept': async () => (await import('./config.ts')).accept,
  'caller.show': async () => (await import('./whoami.ts')).whoami,
  'caller.sign-in': async () => (await import('./sign-in.ts')).signIn,
  'caller.sign-out': async () => (await import('./sign-in.ts')).signOut,
  'policy.show': async () => (await import('./policy.ts')).policy,
  'audit.log': async () => (await import('./audit.ts')).log,
  'audit.tail': async () => (await import('./audit.ts')).tail,
  'audit.verify': async () => (await import('./audit.ts')).verify,
};

/** Every command: those of the table, and the few that are ours alone. */
export function allSpecs(): Spec[] {
  return [...(Object.keys(COMMANDS) as (keyof typeof COMMANDS)[]).map(specOf), ...OWN];
}

function specOf(name: keyof typeof COMMANDS): Spec {
  const declared = OPERATIONS[name] as unknown as Operation;
  return {
    words: declared.command.split(' '),
    doc: declared.doc,
    detail: declared.detail,
    examples: declared.examples,
    operation: name,
    fields: declared.input,
    common: commonOf(name),
    ours125: name === 'session.exec',
    async run(context, input, flags) {
      // `create` has more to say of its plan: it knows what it would read.
      if (flags.plan && name !== 'app.create') return showPlan(context, name, input as Input<typeof name>, flags);
      // The fields of the same operation made this input: the parser has given each its type.
      const run = (await COMMANDS[name]()) as Run<OperationName>;
      return run(context, input as Input<OperationName>, flags);
    },
  };
}

type Own = (context: Context, input: Record<string, unknown>, flags: Flags) => Promise<number>;

const own = (
  words: string,
  doc: string,
  fields: Fields,
  examples: string[],
  run: Own,
  more: Partial<Spec> = {},
): Spec => ({
  words: words.split(' '),
  doc,
  fields,
  examples,
  run,
  common: [],
  ours125: false,
  ...more,
});

const { ref, directory } = OPERATIONS['session.exec'].input;

const OWN: readonly Spec[] = [
  own(
    'shell',
    'Open a shell in the cell of an app or fork, as its user agent',
    { ref, directory },
    ['bulkhead shell shop:fix', 'bulkhead shell shop:fix < script.sh'],
    async (context, input, flags) =>
      (await import('./exec.ts')).shell(context, input as Pick<Input<'session.exec'>, 'ref' | 'directory'>, flags),
    { common: ['verbose'], ours125: true },
  ),
  own(
    'help',
    'Explain a command or a topic',
    {
      topic: optionalText('a command or a topic', { positional: 'one' }),
    },
    ['bulkhead help fork', 'bulkhead help bulkhead.yaml'],
    async (context, input) => (await import('./help.ts')).help(context, input['topic'] as string | undefined),
  ),
  own(
    'completion',
    'Print what a shell reads to complete commands, flags and refs',
    { shell: text('bash, zsh or fish', { positional: 'one' }) },
    ['source <(bulkhead completion bash)', 'bulkhead completion fish > ~/.config/fish/completions/bulkhead.fish'],
    async (context, input) => (await import('./completion.ts')).completion(context, String(input['shell'])),
  ),
  own(
    'daemon',
    'Run the daemon in the foreground, as root; what runs in cells goes on when it ends',
    {},
    ['sudo bulkhead daemon'],
    async () => {
      (await import('./daemon.ts')).runDaemon();
      return 0;
    },
  ),
];
