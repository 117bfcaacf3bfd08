import { connect, type Client } from '../client/client.ts';
import { socketPath } from '../client/socket.ts';
import { AppError } from '../contract/errors.ts';
import type { Input, OperationName, Output } from '../contract/operations.ts';
import type { CommonFlags, Context } from './context.ts';
import { createProgress } from './progress.ts';
import { ask } from './prompt.ts';

export const clientFor = (context: Context): Client => connect(socketPath(context.process.env));

/** Asks an operation; where the daemon wants a code of the second factor, the person is asked and it is sent again. */
export async function request<N extends OperationName>(
  context: Context,
  name: N,
  input: Input<N>,
  flags: CommonFlags,
): Promise<Output<N>> {
  return withCode(flags, async (code) => {
    const progress = createProgress(context, flags.json === true);
    try {
      return await clientFor(context).call(name, input, { code, onEvent: (event) => progress.event(event) });
    } finally {
      progress.stop();
    }
  });
}

/** Runs with the code that was given, or with one that is asked for when the daemon demands it. */
export async function withCode<T>(flags: CommonFlags, run: (code: string | undefined) => Promise<T>): Promise<T> {
  try {
    return await run(flags.code);
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'factor-required' || flags.code !== undefined) throw error;
    const code = await ask(`${error.message}\nCode: `);
    if (code === undefined) throw error;
    return run(code);
  }
}
