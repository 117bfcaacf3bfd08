import { OPERATIONS, type OperationName } from '../contract/operations.ts';
import type { CommonFlags, Context } from './context.ts';
import type { Run } from './derive.ts';
import { clientFor, request } from './request.ts';
import { table } from './terminal.ts';

/** Commands that do more than ask and show. Each is loaded when it is run. */
const OWN: Partial<Record<OperationName, Run>> = {
  'session.exec': async (context, input, flags) => (await import('./exec.ts')).exec(context, input, flags),
  'cell.logs': async (context, input, flags) => (await import('./exec.ts')).follow(context, 'cell.logs', input, flags),
  'audit.tail': async (context, input, flags) => (await import('./audit.ts')).tail(context, input, flags),
  'audit.verify': async (context, input, flags) => (await import('./audit.ts')).verify(context, input, flags),
  'app.create': async (context, input, flags) => (await import('./create.ts')).create(context, input, flags),
  'machine.init': async (context, input, flags) => (await import('./init.ts')).init(context, input, flags),
  'volume.remove': async (context, input, flags) => (await import('./remove.ts')).remove(context, input, flags),
};

/** What a command does: its plan where that is asked, else what its own file says, else ask and show. */
export function runFor(name: OperationName): Run {
  return async (context, input, flags) => {
    if (flags.plan === true) return plan(context, name, input, flags);
    const own = OWN[name];
    if (own !== undefined) return own(context, input, flags);
    const result = await request(context, name, input as never, flags);
    const { show } = await import('./views/show.ts');
    show(context, name, result, flags);
  };
}

async function plan(context: Context, name: OperationName, input: Record<string, unknown>, flags: CommonFlags): Promise<void> {
  const { stdout } = context.process;
  const found = await clientFor(context).plan(name, input as never);
  if (flags.json === true) return void stdout.write(`${JSON.stringify({ type: 'result', result: found })}\n`);
  stdout.write(`${OPERATIONS[name].command} of ${found.target} would do this, and has done nothing:\n`);
  stdout.write(`${table(found.steps.map((step, at) => [`  ${at + 1}`, step.key, step.label]))}\n`);
  for (const text of found.unknown) stdout.write(`not known before: ${text}\n`);
}
