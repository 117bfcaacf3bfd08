import { renderUnicodeCompact } from 'uqr';
import { AppError } from '../contract/errors.ts';
import type { Output } from '../contract/operations.ts';
import { formatBytes } from '../contract/units.ts';
import type { CommonFlags, Context } from './context.ts';
import { ask } from './prompt.ts';
import { clientFor, request } from './request.ts';
import { show } from './views/show.ts';

const TRIES = 5;

/** Makes the pool and enrols a person: shows the code for the phone, and takes the first one back. */
export async function init(context: Context, input: Record<string, unknown>, flags: CommonFlags): Promise<void> {
  const { stdout, env } = context.process;
  // Who ran sudo is the person; only root may say so, and only root may run this.
  const person = input['person'] ?? env['SUDO_USER'];
  const made = await request(context, 'machine.init', { ...input, ...(person === undefined ? {} : { person }) } as never, flags);
  if (flags.json === true) {
    show(context, 'machine.init', made, flags);
    return;
  }
  const { pool } = made;
  stdout.write(`pool of ${formatBytes(pool.size)}, the last ${formatBytes(pool.floor)} stay production's: forks stop first\n\n`);
  stdout.write('Scan this with the authenticator on your phone. Changes to production will ask for its code.\n');
  stdout.write(`${renderUnicodeCompact(made.uri, { border: 2 })}\n  or type: ${new URL(made.uri).searchParams.get('secret') ?? ''}\n\n`);
  await confirm(context, made);
}

async function confirm(context: Context, made: Output<'machine.init'>): Promise<void> {
  const { stdout } = context.process;
  for (let attempt = 1; attempt <= TRIES; attempt += 1) {
    const code = await ask('Code from the phone: ');
    if (code === undefined) break;
    try {
      const { person } = await clientFor(context).call('machine.confirm', {}, { code });
      stdout.write(`✔ factor enrolled for ${person}. Recovery codes, shown once:\n`);
      for (const recovery of made.recovery) stdout.write(`    ${recovery}\n`);
      stdout.write('\nNext:  bulkhead doctor                       what an agent on this machine could still reach\n');
      stdout.write('       bulkhead sign-in\n       bulkhead create shop --from ./shop\n');
      return;
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'factor-wrong') throw error;
      stdout.write(`${error.message}\n`);
    }
  }
  throw new AppError('factor-required', 'The factor is not enrolled yet: no code came back from the phone', { next: ['sudo bulkhead init'] });
}
