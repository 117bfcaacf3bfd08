import type { CommandContext } from '@stricli/core';

/** The smallest process that commands need; tests give another. */
export interface Context extends CommandContext {
  process: {
    stdin: NodeJS.ReadStream;
    stdout: NodeJS.WriteStream;
    stderr: NodeJS.WriteStream;
    env: Readonly<Record<string, string | undefined>>;
    exitCode?: number | string | null | undefined;
  };
}

/** Flags that every command has. */
export interface CommonFlags {
  json?: boolean;
  plan?: boolean;
  code?: string;
  verbose?: boolean;
}
