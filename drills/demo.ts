// PocketOS, replayed: an agent destroys a fork of a running production. `./run demo [--json]`

import { createResults, document, faults, summary, type Results } from './pocketos/results.ts';
import { createShow } from './pocketos/show.ts';
import { isSetUp, openStage, type Stage } from './pocketos/stage.ts';
import { production, reckon, type Parts } from './pocketos/person.ts';
import { again, attempts, destroy, fork, search, status } from './pocketos/scenes.ts';
import { staleInstances, sweep } from './pocketos/sweeper.ts';

async function main(json: boolean): Promise<void> {
  if (process.getuid?.() !== 0) return refuse('The demo makes a pool, cells and networks of its own: run it as root.');
  if (!isSetUp()) return refuse('Bulkhead is not set up here yet. Run:  ./run setup');
  for (const instance of staleInstances()) await sweep(instance);
  const { stdout } = process;
  const watched = !json && stdout.isTTY === true;
  const show = createShow({
    silent: json,
    paced: watched,
    color: watched && process.env['NO_COLOR'] === undefined,
    columns: Math.max(60, stdout.columns ?? 100),
  });
  const results = createResults();
  show.say(
    '24 April 2026: an agent finds a token and deletes the volume of PocketOS, with the backups in it, in 9 seconds.',
  );
  show.say(
    'Here the same happens to a fork. It takes about a minute, on an instance of its own that leaves nothing behind.',
  );
  const stage = await openStage();
  endOnSignals(stage);
  const failure = await play({ show, stage, results }).catch((error: unknown) => error ?? 'it failed');
  show.say('  Taking everything down again.');
  await stage.end();
  if (json) stdout.write(`${document(results)}\n`);
  else if (failure === undefined) show.show(`\n${summary(results, show.columns)}`);
  judge(results, failure);
}

function refuse(why: string): void {
  process.stderr.write(`${why}\n`);
  process.exitCode = 2;
}

/** Says what is not as it should be; the exit code tells programs. */
function judge(results: Results, failure: unknown): void {
  const said = failure === undefined ? [] : [failure instanceof Error ? failure.message : String(failure)];
  const wrong = [...said, ...faults(results)];
  if (wrong.length === 0) return;
  process.stderr.write(`\nNot as expected:\n${wrong.map((line) => `  ${line}`).join('\n')}\n`);
  process.exitCode = 1;
}

async function play(parts: Parts): Promise<void> {
  const { show } = parts;
  const { terminal, website } = await production(parts);
  try {
    const agent = await attempts(parts, website);
    await show.scene('So it works in a fork', 'A full copy of production, while the website writes.');
    await fork(parts, agent, 'shop:fix');
    status(show, website);
    await search(parts, agent);
    await destroy(parts, agent, website);
    await again(parts, agent, website);
    agent.close();
    await reckon(parts, terminal, website);
  } finally {
    await website.stop();
    terminal.close();
  }
}

/** An interrupt, or a reader that goes away, ends the demo once everything is down. A kill leaves that to the sweeper. */
function endOnSignals(stage: Stage): void {
  const end = (code: number): void => {
    void stage.end().then(
      () => process.exit(code),
      () => process.exit(1),
    );
  };
  process.once('SIGINT', () => {
    process.stderr.write('\nTaking everything down again.\n');
    end(130);
  });
  process.once('SIGTERM', () => end(143));
  process.once('SIGHUP', () => end(129));
  process.stdout.once('error', () => end(1));
}

await main(process.argv.includes('--json'));
