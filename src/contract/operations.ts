import { app, point } from './app.ts';
import { audit, caller, config } from './authority.ts';
import { cell, session } from './cell.ts';
import { fork, trash } from './fork.ts';
import { machine } from './machine.ts';
import type { InputOf, OutputOf } from './operation.ts';

/**
 * The one table of operations. Routes, commands, policy, audit, `--plan` and the
 * reference are derived from it; a handler for each is demanded by the compiler.
 */
export const OPERATIONS = {
  ...machine,
  ...app,
  ...fork,
  ...cell,
  ...session,
  ...point,
  ...trash,
  ...config,
  ...caller,
  ...audit,
};

export type OperationName = keyof typeof OPERATIONS;
export type Input<N extends OperationName> = InputOf<(typeof OPERATIONS)[N]>;
export type Output<N extends OperationName> = OutputOf<(typeof OPERATIONS)[N]>;

export function isOperation(name: string): name is OperationName {
  return Object.hasOwn(OPERATIONS, name);
}
