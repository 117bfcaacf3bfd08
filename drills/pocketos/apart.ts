// Starts a program away from whoever runs the demo: a new session, an empty environment, and a parent that has
// ended. That may be an agent, and no person signs in below one.

import { spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import type { Who } from './stage.ts';

export interface Apart {
  input: Writable;
  /** Standard output, then descriptors 4 and 5. */
  outputs: readonly [Readable, Readable, Readable];
}

/** Input comes as descriptor 3: Node closes its end of the first when the program that was started ends, which it does at once. */
export function startApart(who: Who, variables: readonly string[], words: readonly string[]): Apart {
  const become = ['setsid', '-f', 'env', '-i', ...who.environment, ...variables, ...who.become, ...words];
  const child = spawn('sh', ['-c', 'exec "$@" <&3 3<&-', 'sh', ...become], {
    cwd: '/',
    stdio: ['ignore', 'pipe', 'ignore', 'pipe', 'pipe', 'pipe'],
  });
  const [, output, , input, fourth, fifth] = child.stdio as unknown as [
    null,
    Readable,
    null,
    Writable,
    Readable,
    Readable,
  ];
  input.on('error', () => {});
  return { input, outputs: [output, fourth, fifth] };
}
