// The person's side of the demo: production is put on the machine, and counted at the end.

import { randomBytes } from 'node:crypto';
import { chownSync, cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { formatBytes } from '../../src/contract/units.ts';
import { createPhone } from './codes.ts';
import type { Results } from './results.ts';
import type { Show } from './show.ts';
import { ROOT, type Stage } from './stage.ts';
import { openTerminal, type Answers, type Terminal } from './terminal.ts';
import { openWebsite, type Website } from './website.ts';

/** What every scene works with. Every figure of theirs comes from the run. */
export interface Parts {
  show: Show;
  stage: Stage;
  results: Results;
}

/** A person makes the pool, enrols, signs in, and puts a car rental's production on the machine. */
export async function production({ show, stage, results }: Parts): Promise<{ terminal: Terminal; website: Website }> {
  const { who } = stage;
  await show.scene('A person puts production on this machine');
  const phone = await enrol({ show, stage });

  const terminal = await openTerminal(who);
  const type = async (line: string, answers: Answers = []): Promise<string> => {
    await show.command(who.name, line);
    const typed = await terminal.type(line, answers);
    show.output(typed.text);
    if (typed.code !== 0) throw new Error(`"${line}" ended with ${typed.code}:\n${typed.text}\n${stage.log()}`);
    return typed.text;
  };
  const code = [/Code[^\n]*: *$/, phone] as const;
  writeApp(stage);
  await type('bulkhead sign-in', [code]);
  await type(`bulkhead create shop --from ~/shop`, [code]);
  await type('bulkhead up shop');

  const password = randomBytes(12).toString('hex');
  await show.command(who.name, 'bulkhead exec -i shop -- sh ops/seed.sh');
  const seeded = await terminal.type(`bulkhead exec -i shop -- sh ops/seed.sh <<< ${password}`);
  if (seeded.code !== 0) throw new Error(`the database was not made: ${seeded.text}\n${stage.log()}`);
  const website = openWebsite({ port: stage.port, password, bookings: 1000 });
  results.before = await counts(website);
  const { rows, size } = results.before;
  show.output(`PostgreSQL with ${rows.toLocaleString('en')} rows, ${formatBytes(size)}, on 127.0.0.1:${stage.port}`);
  show.say('  From here on a website writes payments to it, without a pause.');
  return { terminal, website };
}

/** The app as the person has it before there is any Bulkhead. */
function writeApp({ directory, who, port }: Stage): void {
  const shop = `${directory}/house/shop`;
  cpSync(`${ROOT}drills/pocketos/app`, shop, { recursive: true });
  writeFileSync(`${shop}/bulkhead.yaml`, readFileSync(`${shop}/bulkhead.yaml`, 'utf8').replace('@PORT@', String(port)));
  for (const name of ['', ...readdirSync(shop, { recursive: true, encoding: 'utf8' })])
    chownSync(`${shop}/${name}`, who.uid, who.gid);
}

/** Root makes the pool and enrols the person, whose phone reads the secret off the terminal. */
async function enrol({ show, stage }: Pick<Parts, 'show' | 'stage'>): Promise<() => Promise<string>> {
  const line = `bulkhead init --size 2G --person ${stage.who.name}`;
  await show.command('root', line);
  const terminal = await openTerminal(stage.root);
  let phone: (() => Promise<string>) | undefined;
  const read = (text: string): Promise<string> => {
    phone = createPhone((/or type it: ([A-Z2-7 ]+)/.exec(text)?.[1] ?? '').replaceAll(' ', ''));
    return phone();
  };
  const typed = await terminal.type(line, [[/Code from the phone: *$/, read]]);
  terminal.close();
  if (typed.code !== 0 || phone === undefined)
    throw new Error(`init ended with ${typed.code}:\n${typed.text}\n${stage.log()}`);
  show.output(
    typed.text
      .split('\n')
      .filter((text) => /^(✔|pool)/.test(text))
      .join('\n'),
  );
  return phone;
}

/** Rows that are not the website's new ones, and bytes of the database. */
export async function counts(website: Website): Promise<{ rows: number; size: number }> {
  const tables = ['locations', 'cars', 'customers', 'bookings'].map((name) => `(select count(*) from ${name})`);
  const seeded = "(select count(*) from payments where reference like 'card-%')";
  const answer = await website.ask(`select ${[...tables, seeded].join(' + ')}, pg_database_size('rental')`);
  const [rows = 0, size = 0] = answer.split('|').map(Number);
  return { rows, size };
}

/** Counts in production what was there before and what was acknowledged, and asks the audit log. */
export async function reckon({ results, show }: Parts, terminal: Terminal, website: Website): Promise<void> {
  await website.stop();
  const { rows } = await counts(website);
  const kept = new Set((await website.ask("select reference from payments where reference like 'live-%'")).split('\n'));
  const references = website.references();
  results.after = { rows, kept: references.filter((one) => kept.has(one)).length, ...website.written() };
  const verified = await terminal.type('bulkhead audit verify');
  const log = await terminal.type('bulkhead audit log --refused -n 100 --json');
  results.audit = { intact: verified.code === 0, refusals: log.text.match(/"outcome":"refused"/g)?.length ?? 0 };
  show.output(verified.text);
}
