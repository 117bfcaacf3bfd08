import type { CommandContext } from '@stricli/core';
import type { Client } from '../client/connect.ts';
import type { Input, OperationName, Output } from '../contract/operations.ts';
import type { Paint } from './terminal/paint.ts';
import type { Terminal } from './terminal/terminal.ts';

/** What a command is given: the terminal it speaks on, and the daemon it asks. */
export interface Context extends CommandContext {
  terminal: Terminal;
  client: Client;
}

/** Flags that many commands have. */
export interface Flags {
  json: boolean;
  plan: boolean;
  verbose: boolean;
  code: string | undefined;
}

/** How a result is looked at. `width`: columns of the terminal; undefined: none, nothing is cut. */
export interface Look {
  paint: Paint;
  width: number | undefined;
  /** Milliseconds since 1970. */
  now: number;
  verbose: boolean;
}

/** A result as lines for people. */
export type Show<N extends OperationName> = (result: Output<N>, look: Look) => string[];

/** What a command does with its parsed input; returns its exit code. Throws AppError. */
export type Run<N extends OperationName> = (context: Context, input: Input<N>, flags: Flags) => Promise<number>;

export function lookOf({ terminal }: Context, flags: Pick<Flags, 'verbose'>): Look {
  return { paint: terminal.paint, width: terminal.width, now: terminal.now(), verbose: flags.verbose };
}
