import { renderUnicodeCompact } from 'uqr';
import { AppError } from '../contract/errors.ts';
import { escapeText } from '../contract/names.ts';
import type { Output } from '../contract/operations.ts';
import { formatBytes } from '../contract/units.ts';
import type { Context, Run } from './context.ts';
import { perform } from './perform.ts';
import { askCode, canAsk } from './terminal/prompt.ts';
import type { Terminal } from './terminal/terminal.ts';

type Made = Output<'machine.init'>;

const TRIES = 5;

/** `init`: the pool, and the first person's second factor. With `--code` it finishes an enrolment that waits. */
export const init: Run<'machine.init'> = async (context, input, flags) => {
  const { terminal, client } = context;
  if (flags.code !== undefined) {
    const { person } = await client.call('machine.confirm', {}, { code: flags.code });
    if (flags.json) terminal.json({ type: 'result', result: { person } });
    else terminal.print([...enrolled(context, person), ...NEXT]);
    return 0;
  }
  if (!flags.json) terminal.say(['Bulkhead needs a pool: a copy-on-write filesystem for your apps and their forks.']);
  const made = await perform(context, 'machine.init', input, flags);
  if (flags.json) terminal.json({ type: 'result', result: made });
  else await enrol(context, made);
  return 0;
};

const NEXT = [
  '',
  'Next:  bulkhead doctor                       what an agent on this machine could still reach',
  '       bulkhead sign-in',
  '       bulkhead create shop --from ./shop',
];

const enrolled = ({ terminal }: Context, person: string): string[] => [
  `${terminal.paint.good('✔')} factor enrolled for ${escapeText(person)}`,
];

/** Shows the secret to the phone, and takes its first code back. The daemon counts wrong ones as well. */
async function enrol(context: Context, made: Made): Promise<void> {
  const { terminal } = context;
  terminal.print(scanLines(made, terminal));
  if (!canAsk(terminal)) {
    terminal.print([
      ...recoveryLines(made),
      '',
      'It counts once a first code has come back:',
      '  sudo bulkhead init --code 123456',
    ]);
    return;
  }
  const person = await confirm(context);
  terminal.print([...enrolled(context, person), ...recoveryLines(made), ...NEXT]);
}

function scanLines({ pool, uri }: Made, { paint }: Terminal): string[] {
  const secret = new URL(uri).searchParams.get('secret') ?? '';
  return [
    `  pool    ${formatBytes(pool.size)}, ${formatBytes(pool.free)} free`,
    `  room    the last ${formatBytes(pool.floor)} stay production's: forks stop first`,
    '',
    'Scan this with the authenticator on your phone. Changes to production will ask for its code.',
    '',
    ...renderUnicodeCompact(uri, { border: 2 })
      .split('\n')
      .map((line) => paint.onBlack(line)),
    `  or type it: ${secret.replaceAll(/(.{4})(?=.)/g, '$1 ')}`,
    '',
  ];
}

function recoveryLines({ recovery }: Made): string[] {
  const half = Math.ceil(recovery.length / 2);
  const rows = recovery.slice(0, half).map((code, at) => `    ${code}    ${recovery[half + at] ?? ''}`.trimEnd());
  return ['', 'Recovery codes, shown once; each is good for one time that the phone is not there:', ...rows];
}

async function confirm({ client, terminal }: Context): Promise<string> {
  for (let attempt = 1; ; attempt += 1) {
    const code = await askCode('Code from the phone: ');
    try {
      if (code === '') throw new AppError('factor-wrong', 'No code was typed');
      return (await client.call('machine.confirm', {}, { code })).person;
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'factor-wrong') throw error;
      terminal.say([`${escapeText(error.message)}.`]);
      if (attempt >= TRIES)
        throw new AppError('factor-wrong', 'The factor is not enrolled: no right code came back from the phone', {
          why: 'The pool is made. Starting again shows a new code for the phone.',
          next: ['sudo bulkhead init'],
          cause: error,
        });
    }
  }
}
