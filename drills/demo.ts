// PocketOS, replayed: an agent destroys a fork of a running production. `./run demo [--json]`

import { createResults, document, faults, summary } from './pocketos/results.ts';
import { createShow, type Show } from './pocketos/show.ts';
import { isSetUp, openStage, type Stage } from './pocketos/stage.ts';
import { again, attempts, counts, destroy, fork, production, search, status, type Parts } from './pocketos/story.ts';
import { staleInstances, sweep } from './pocketos/sweeper.ts';
import type { Terminal } from './pocketos/terminal.ts';
import type { Website } from './pocketos/website.ts';

async function main(json: boolean): Promise<void> {
  if (process.getuid?.() !== 0) return refuse('The demo makes a pool, cells and networks of its own: run it as root.');
  if (!isSetUp()) return refuse('Bulkhead is not set up here yet. Run:  ./run setup');
  for (const instance of staleInstances()) await sweep(instance);
  const watched = !json && process.stdout.isTTY === true;
  const color = watched && process.env['NO_COLOR'] === undefined;
  const show = createShow({ silent: json, paced: watched, color });
  show.say(
    '24 April 2026: an agent found a token, deleted the volume of PocketOS, and the backups in it. Nine seconds.',
  );
  const results = createResults();
  const stage = await openStage();
  let failure: unknown;
  try {
    await play({ show, stage, results });
  } catch (error) {
    failure = error;
  }
  await stage.end();
  const wrong = [...faults(results), ...(failure === undefined ? [] : [String(failure)])];
  if (json) process.stdout.write(`${document(results)}\n`);
  else if (failure === undefined) await close(show, summary(results));
  if (wrong.length === 0) return;
  process.stderr.write(`\nNot as expected:\n${wrong.map((line) => `  ${line}`).join('\n')}\n`);
  process.exitCode = 1;
}

function refuse(why: string): void {
  process.stderr.write(`${why}\n`);
  process.exitCode = 2;
}

async function play(parts: Parts): Promise<void> {
  const { show, stage } = parts;
  const { terminal, website } = await production(parts);
  const agent = await attempts(parts, website);
  try {
    await show.scene('So it works in a fork', 'A full copy of production, while the website writes.');
    await fork(parts, agent, 'shop:fix');
    status(show, website);
    await search(parts, agent);
    await destroy(parts, agent, website);
    await again(parts, agent, website);
    await reckon(parts, terminal, website);
  } finally {
    agent.close();
    await website.stop();
    terminal.close();
  }
  void stage;
}

/** Counts in production what was there before and what was acknowledged, and asks the audit log. */
async function reckon({ results, show }: Parts, terminal: Terminal, website: Website): Promise<void> {
  await show.scene('The reckoning');
  await website.stop();
  const references = website.references();
  const { rows } = await counts(website);
  const kept = new Set((await website.ask(`select reference from payments where reference like 'live-%'`)).split('\n'));
  const { acknowledged, failed, slowest } = website.written();
  results.after = { rows, acknowledged, kept: references.filter((one) => kept.has(one)).length, failed, slowest };
  const verified = await terminal.type('bulkhead audit verify');
  const log = await terminal.type('bulkhead audit log --refused -n 100 --json');
  const refusals = log.text.match(/"outcome":"refused"/g)?.length ?? 0;
  results.audit = { intact: verified.code === 0, refusals };
}

async function close(show: Show, text: string): Promise<void> {
  show.say(`\n${text}`);
}

/** An interrupt ends the demo; the sweeper sees that, and takes everything down. */
function endOn(signals: readonly NodeJS.Signals[]): void {
  for (const signal of signals)
    process.on(signal, () => {
      process.stderr.write('\nTaking everything down again.\n');
      process.exit(130);
    });
}

endOn(['SIGINT', 'SIGTERM', 'SIGHUP']);
await main(process.argv.includes('--json'));
