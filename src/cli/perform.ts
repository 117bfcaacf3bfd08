import type { PlanView } from '../contract/events.ts';
import { escapeText } from '../contract/names.ts';
import { AppError } from '../contract/errors.ts';
import { OPERATIONS, type Input, type OperationName, type Output } from '../contract/operations.ts';
import { lookOf, type Context, type Flags, type Run, type Show } from './context.ts';
import { createProgress } from './terminal/progress.ts';
import { askCode, canAsk } from './terminal/prompt.ts';
import { wrap } from './terminal/text.ts';

/** Codes that may be typed wrongly before we give up; the daemon counts for itself. */
const TRIES = 3;

/** What stands before the cursor when a code is asked for, and what comes before the question. */
export interface Asking<I> {
  question?: string;
  /** May add to the input. */
  before?: () => Promise<Partial<I>>;
}

/** Asks one operation, showing its steps, and asks for a code where the daemon wants one. */
export function perform<N extends OperationName>(
  context: Context,
  name: N,
  input: Input<N>,
  flags: Flags,
  { question = 'Code: ', before = async () => ({}) }: Asking<Input<N>> = {},
): Promise<Output<N>> {
  let whole = input;
  const ask = async (): Promise<void> => {
    whole = { ...whole, ...(await before()) };
  };
  const attempt = async (code: string | undefined): Promise<Output<N>> => {
    const progress = createProgress(context.terminal, flags.json ? 'json' : 'lines', flags.verbose);
    try {
      return await context.client.call(name, whole, { code, onEvent: (event) => progress.event(event) });
    } finally {
      progress.end();
    }
  };
  return withFactor(context, flags, attempt, { question, before: ask });
}

/**
 * Tries without a code or with the one that was given; where the daemon wants one and a
 * person sits here, asks for it and tries again.
 */
async function withFactor<T>(
  { terminal }: Context,
  flags: Flags,
  attempt: (code: string | undefined) => Promise<T>,
  { question, before }: { question: string; before: () => Promise<void> },
): Promise<T> {
  for (let code = flags.code, asked = 0; ; asked += 1) {
    try {
      return await attempt(code);
    } catch (error) {
      if (!(error instanceof AppError) || flags.code !== undefined || flags.json) throw error;
      const first = error.code === 'factor-required' && asked === 0;
      const again = error.code === 'factor-wrong' && asked > 0 && asked < TRIES;
      if ((!first && !again) || !canAsk(terminal)) throw error;
      if (first) await before();
      else terminal.say(wrap(escapeText(`${error.message}. ${error.why ?? ''}`.trim()), terminal.widthError ?? 100));
      code = await askCode(question);
      if (code === '') throw error;
    }
  }
}

/** A command that asks one operation and shows the result. */
export function shown<N extends OperationName>(
  name: N,
  show: Show<N>,
  exitOf: (result: Output<N>) => number = () => 0,
): Run<N> {
  return async (context, input, flags) => {
    const result = await perform(context, name, input, flags);
    answer(context, result, flags, (look) => show(result, look));
    return exitOf(result);
  };
}

/** Prints a result: for programs as JSON, for people as lines. */
export function answer(
  context: Context,
  result: unknown,
  flags: Flags,
  lines: (look: ReturnType<typeof lookOf>) => string[],
): void {
  if (flags.json) context.terminal.json({ type: 'result', result });
  else context.terminal.print(lines(lookOf(context, flags)));
}

/** `--plan`: what would be done, and nothing is. */
export async function showPlan<N extends OperationName>(
  context: Context,
  name: N,
  input: Input<N>,
  flags: Flags,
): Promise<number> {
  const plan = await context.client.plan(name, input);
  answer(context, plan, flags, () => planLines(plan, OPERATIONS[name].command));
  return 0;
}

/** A plan for people. */
export function planLines(plan: PlanView, command: string): string[] {
  const digits = String(plan.steps.length).length;
  return [
    `${command} of ${escapeText(plan.target)} would do, in this order, and has done nothing:`,
    ...plan.steps.map((step, at) => `  ${String(at + 1).padStart(digits)}  ${escapeText(step.label)}`),
    ...(plan.unknown.length === 0 ? [] : ['What cannot be known before:']),
    ...plan.unknown.map((text) => `  ${escapeText(text)}`),
  ];
}
