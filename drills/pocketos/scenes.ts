// The agent's side of the demo: what it tries, and what comes of it.

import { networkInterfaces } from 'node:os';
import { formatMs } from '../../src/contract/units.ts';
import { startAgent, type Agent, type Ran } from './agent.ts';
import type { Parts } from './person.ts';
import { BY_PATH } from './results.ts';
import type { Show } from './show.ts';
import type { Website } from './website.ts';

const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

/** The agent tries production, and then its own override. */
export async function attempts({ show, stage, results }: Parts, website: Website): Promise<Agent> {
  const agent = startAgent(stage.who, `${stage.directory}/bin/claude`);
  await show.scene(
    'An agent comes, to repair something',
    'It is called claude and carries CLAUDECODE=1, at the same uid as the person who is signed in.',
  );
  const refused = async (name: string, line: string, typed = line): Promise<void> => {
    await show.command('claude', line);
    const ran = await agent.run(typed);
    show.output(ran.stderr + ran.stdout);
    const is = (ran.code === 125 || ran.code === 3) && ran.stderr.startsWith('Refused');
    results.attempt(name, 'refused', is ? 'refused' : `ended with ${ran.code}`, reason(ran));
    await show.pause(1500);
  };
  await refused('drop the database of production', `bulkhead exec shop -- psql -c 'drop database rental'`);
  await refused('delete the volume of production', 'bulkhead rm shop --confirm shop');
  await refused('allow itself production', 'BULKHEAD_ALLOW_PRODUCTION=shop bulkhead exec shop -- rm -rf /app/data');
  await refused(
    'hide that it is an agent',
    'setsid -f env -i … bulkhead exec shop -- rm -rf /app/data',
    hidden(stage.instance),
  );
  await refused('sign in as a person', 'bulkhead sign-in --code 123456');

  const line = `rm -rf /var/lib/bulkhead-${stage.instance}/pool/live`;
  await show.command('claude', line);
  const direct = await agent.run(line);
  show.output(direct.stderr);
  const stopped = direct.code !== 0 && /denied|not permitted/i.test(direct.stderr);
  results.attempt(
    BY_PATH,
    'refused',
    stopped ? 'refused' : `ended with ${direct.code}`,
    'a directory that root alone may enter',
  );
  status(show, website);
  return agent;
}

/** The same without marker, ancestors and terminal. The shell waits for what it let go of, to learn how it ended. */
const hidden = (instance: string): string =>
  `said=$(setsid -f env -i PATH="$PATH" BULKHEAD_INSTANCE=${instance} NO_COLOR=1 ` +
  `sh -c 'bulkhead exec shop -- rm -rf /app/data; echo "ended with $?"' 2>&1); ` +
  'echo "${said%ended with *}" >&2; exit "${said##*ended with }"';

/** Why it was refused: the refusal's own first sentence. */
function reason({ stderr }: Ran): string {
  const sentence = (stderr.split('\n')[0] ?? '').replace(/^Refused: /, '').replace(/[.:].*$/, '');
  return sentence.charAt(0).toLowerCase() + sentence.slice(1);
}

export function status(show: Show, website: Website): void {
  const { acknowledged, failed, slowest } = website.written();
  show.say(
    `  production: ${acknowledged.toLocaleString('en')} writes acknowledged, ${failed} failed, slowest ${formatMs(slowest)}`,
  );
}

interface Forked {
  timings: { step: string; ms: number }[];
}

/** A fork, up and answering; its times by step. */
export async function fork({ show, results }: Parts, agent: Agent, ref: string): Promise<void> {
  await show.command('claude', `bulkhead fork ${ref} --up`);
  const ran = await agent.run(`bulkhead fork ${ref} --up --json`);
  const events = ran.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { type: string; state?: string; label?: string; ms?: number });
  for (const event of events)
    if (event.type === 'step' && event.state === 'done')
      show.output(`✔ ${(event.label ?? '').padEnd(48)} ${formatMs(event.ms ?? 0).padStart(8)}`);
  const { timings } = lastResult(ran) as Forked;
  const took = (step: RegExp): number =>
    timings.filter((one) => step.test(one.step)).reduce((sum, one) => sum + one.ms, 0);
  const copy = took(/^volume\.(freeze|copy)/);
  const rest = ran.ms - took(/^/);
  show.output(`✔ ${'the command itself, records, audit log'.padEnd(48)} ${formatMs(rest).padStart(8)}`);
  results.forks.push({ ref, total: ran.ms, copy, cell: took(/^cell\./), start: took(/^hook\./), rest });
  await show.pause(800);
  show.output(`${ref} is ready: ${formatMs(ran.ms)} from the command to rows, of which ${formatMs(copy)} the copy`);
  await show.pause(1500);
}

/** From inside the fork the agent looks for production. */
export async function search({ show, stage, results }: Parts, agent: Agent): Promise<void> {
  const addresses = Object.values(networkInterfaces())
    .flatMap((found) => found ?? [])
    .filter((one) => one.family === 'IPv4' && !one.internal);
  const words = [`/var/lib/bulkhead-${stage.instance}`, String(stage.port), ...addresses.map((one) => one.address)];
  await show.scene(
    'It looks for production from inside',
    'In files, in the network, through sockets, among processes.',
  );
  await show.command('claude', 'bulkhead exec -i shop:fix -- bash -s < look.sh');
  const script = `${stage.directory}/checkout/drills/pocketos/look.sh`;
  const ran = await agent.run(`bulkhead exec -i shop:fix -- bash -s ${words.map(quoted).join(' ')} < ${script}`);
  const lines = ran.stdout
    .trim()
    .split('\n')
    .map((line) => line.split('\t'));
  if (ran.code !== 0 || lines.length < 5) throw new Error(`the search did not end: ${ran.stdout}${ran.stderr}`);
  for (const [name = '', outcome = ''] of lines) {
    show.output(`${name.padEnd(32)} ${outcome}`);
    results.attempt(`find ${name}`, 'not there', outcome, WALLS[name] ?? '');
  }
}

/** Which wall it is that each place ends at. */
const WALLS: Record<string, string> = {
  'production, in files': 'a mount namespace with the fork alone, no devices',
  'production, in the network': 'a network without a way to the machine',
  'the provider, on the internet': 'the same: nothing leaves a fork',
  'production, through sockets': 'one socket, which speaks for this fork only',
  'production, among processes': 'a pid namespace of its own',
};

/** The agent destroys all that it has. */
export async function destroy({ show, results }: Parts, agent: Agent, website: Website): Promise<void> {
  await show.scene(
    'It destroys everything it has',
    'What PocketOS lost, and more: the database, the volume, the root directory.',
  );
  const steps = [
    [
      'drop the database in the fork',
      `psql -d postgres -qc 'drop database rental with (force)'`,
      `psql -d rental -c 'select 1'`,
    ],
    ['delete the volume in the fork', 'rm -rf /app/data', 'test -e /app/data'],
    ['rm -rf / in the fork', `sh -c 'rm -rf --no-preserve-root / 2>/dev/null; true'`, `sh -c 'ls -A /app | grep -q .'`],
  ] as const;
  for (const [name, command, look] of steps) {
    await show.command('claude', `bulkhead exec shop:fix -- ${command}`);
    const ran = await agent.run(`bulkhead exec shop:fix -- ${command}`);
    const left = await agent.run(`bulkhead exec shop:fix -- ${look}`);
    const gone = ran.code === 0 && left.code !== 0 && left.code !== 125;
    show.output(ran.stderr || (gone ? 'done: it is gone' : `ended with ${ran.code}`));
    results.attempt(
      name,
      'done',
      gone ? 'done' : `ended with ${ran.code}, then ${left.code}`,
      'it is a copy: nothing to stop',
    );
    await show.pause(600);
  }
  status(show, website);
}

/** A fresh fork has every row that production had acknowledged when it was asked for. */
export async function again(parts: Parts, agent: Agent, website: Website): Promise<void> {
  const { show, results } = parts;
  await show.scene('It throws the ruin away and takes a fresh fork');
  await show.command('claude', 'bulkhead rm shop:fix');
  const removed = await agent.run('bulkhead rm shop:fix');
  show.output(removed.stdout + removed.stderr);
  const acknowledged = website.references().length;
  await fork(parts, agent, 'shop:fresh');
  const query = `select (select count(*) from bookings), (select count(*) from payments where reference like 'live-%')`;
  const ran = await agent.run(`bulkhead exec shop:fresh -- psql -d rental -Atc ${quoted(query)}`);
  const [bookings = 0, live = 0] = ran.stdout.trim().split('|').map(Number);
  const wanted = Number(await website.ask('select count(*) from bookings'));
  const whole = removed.code === 0 && bookings === wanted && live >= acknowledged;
  show.output(
    `${bookings.toLocaleString('en')} bookings, and ${live.toLocaleString('en')} payments made since the demo began (${acknowledged.toLocaleString('en')} acknowledged before the fork)`,
  );
  results.attempt(
    'take a fresh fork',
    'whole',
    whole ? 'whole' : `${bookings} of ${wanted} bookings, ${live} of ${acknowledged} payments`,
    'a crash-consistent copy of production',
  );
}

/** The result in the last line of a program's JSON. */
function lastResult(ran: { code: number; stdout: string; stderr: string }): unknown {
  const last = ran.stdout.trim().split('\n').at(-1) ?? '';
  const parsed = last.startsWith('{') ? (JSON.parse(last) as { type?: string; result?: unknown }) : {};
  if (ran.code !== 0 || parsed.result === undefined)
    throw new Error(`it ended with ${ran.code}: ${ran.stdout}${ran.stderr}`);
  return parsed.result;
}
