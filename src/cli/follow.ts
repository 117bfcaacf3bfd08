import { resultOf } from '../client/connect.ts';
import type { Input } from '../contract/operations.ts';
import type { Context } from './context.ts';

/** Reads a stream of text to its end. Throws AppError. */
export async function follow<N extends 'cell.logs' | 'audit.tail'>(
  { client }: Context,
  name: N,
  input: Input<N>,
  onOutput: (channel: 1 | 2, bytes: Uint8Array) => Promise<void> | void,
): Promise<void> {
  const stream = await client.stream(name, input, { onOutput });
  resultOf(await stream.ended, client.socket);
}
