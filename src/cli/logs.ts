import type { Run } from './context.ts';
import { follow } from './follow.ts';
import { createLineFilter, outputObject } from './terminal/output.ts';
import { pour } from './terminal/terminal.ts';

/** `logs`: what the app wrote, to where it wrote it. On a terminal nothing in it moves the cursor. */
export const logs: Run<'cell.logs'> = async (context, input, flags) => {
  const { terminal } = context;
  const streams = {
    1: { to: terminal.stdout, name: 'stdout', filter: createLineFilter(terminal.stdout) },
    2: { to: terminal.stderr, name: 'stderr', filter: createLineFilter(terminal.stderr) },
  } as const;
  await follow(context, 'cell.logs', input, (channel, bytes) => {
    const { to, name, filter } = streams[channel];
    if (flags.json) return terminal.json(outputObject(name, bytes));
    return pour(to, filter(bytes));
  });
  if (flags.json) terminal.json({ type: 'result', result: {} });
  return 0;
};
