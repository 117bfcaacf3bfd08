import { AppError } from '../contract/errors.ts';
import type { Context } from './context.ts';
import { fail } from './fail.ts';
import { clientFor } from './request.ts';
import { paintFor } from './terminal.ts';
import { listing } from './views/ls.ts';

/** `bulkhead` alone: what is there, and the likely next command, on one screen. */
export async function overview(context: Context): Promise<void> {
  const { stdout, env } = context.process;
  try {
    const client = clientFor(context);
    const status = await client.call('machine.status', {});
    if (!status.enrolled || status.pool === null) {
      stdout.write('Bulkhead runs, and is not set up yet.\n  sudo bulkhead init\n  bulkhead doctor\n');
      return;
    }
    const list = await client.call('app.list', {});
    stdout.write(`${listing(list, paintFor(stdout, env), Date.now())}\n`);
    for (const note of status.notes) stdout.write(`${note}\n`);
    const app = list.volumes.find((one) => one.kind === 'app');
    const fork = list.volumes.find((one) => one.kind === 'fork');
    const next = app === undefined ? 'bulkhead create NAME --from DIR' : fork === undefined ? `bulkhead fork ${app.ref}` : `bulkhead shell ${fork.ref}`;
    stdout.write(`\n  ${next}\n  bulkhead --help                 all commands\n  bulkhead whoami                 what you may do\n`);
  } catch (error) {
    if (error instanceof AppError && error.code === 'no-daemon')
      stdout.write('Bulkhead: production in apps, agents in forks of it, walls in between.\n');
    fail(context, error, false);
  }
}
