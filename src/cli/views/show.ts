import type { OperationName, Output } from '../../contract/operations.ts';
import { formatBytes, formatMs } from '../../contract/units.ts';
import type { CommonFlags, Context } from '../context.ts';
import { formatTime, paintFor, table, type Paint } from '../terminal.ts';
import { showChanges } from './config.ts';
import { listing } from './ls.ts';

type View<N extends OperationName> = (result: Output<N>, on: { paint: Paint; flags: CommonFlags; context: Context }) => string | void;
type Views = { [N in OperationName]?: View<N> };

const time = (iso: string): string => formatTime(iso);

/** How a person sees each result. What has no view here is shown field by field. */
export const VIEWS: Views = {
  'app.list': (result, { paint }) => listing(result, paint, Date.now()),
  'fork.create': (result, { flags }) => {
    const total = result.timings.reduce((sum, step) => sum + step.ms, 0);
    const steps = flags.verbose === true ? `${table(result.timings.map((step) => [`  ${step.step}`, formatMs(step.ms)]))}\n` : '';
    return (
      `${steps}${result.ref} is ${result.up ? 'up' : 'ready'}. Yours until ${time(result.expires)}. Total ${formatMs(total)}\n` +
      `  bulkhead shell ${result.ref}      bulkhead reset ${result.ref}      bulkhead rm ${result.ref}`
    );
  },
  'fork.reset': (result) => `${result.ref} is what it was when it was made; its old content is in the trash as ${result.trash}`,
  'fork.extend': (result) => `${result.ref} is yours until ${time(result.expires)}`,
  'volume.remove': (result) => `${result.ref} is in the trash until ${time(result.until)}\n  bulkhead trash restore ${result.trash}`,
  'trash.list': (result) => {
    if (result.items.length === 0) return 'the trash is empty';
    const rows = result.items.map((item) => [item.name, item.kind, item.own === null ? '–' : formatBytes(item.own), item.by, item.why, time(item.until)]);
    return table([['name', 'kind', 'own', 'by', 'why', 'goes'], ...rows]);
  },
  'trash.restore': (result) => `${result.ref} is back, down`,
  'trash.purge': (result) => `${result.name} is deleted for good at ${time(result.at)}; until then:  bulkhead trash restore ${result.name}`,
  'cell.up': (result) => `${result.ref} is ${result.state}${result.url === null ? '' : ` at ${result.url}`}`,
  'cell.restart': (result) => `${result.ref} is ${result.state}${result.url === null ? '' : ` at ${result.url}`}`,
  'cell.down': (result) => `${result.ref} is ${result.state}`,
  'cell.processes': (result) => {
    if (result.processes.length === 0) return 'nothing runs in it';
    const rows = result.processes.map((one) => [String(one.pid), String(one.user), one.session.slice(0, 8), formatBytes(one.rss), time(one.started), one.command]);
    return table([['pid', 'uid', 'session', 'memory', 'since', 'command'], ...rows]);
  },
  'point.list': (result) => {
    if (result.points.length === 0) return 'there are no points yet: one is taken before each change';
    return table(
      result.points.map((point) => [point.name, time(point.created), point.after.map((one) => `${one.operation} by ${one.caller}`).join(', ') || '–']),
    );
  },
  'config.diff': (result, { context }) => {
    showChanges(context, result.changes);
    return result.hash === null ? 'there is no bulkhead.yaml' : `proposal ${result.hash.slice(0, 12)}`;
  },
  'config.show': (result) =>
    result.accepted === null ? 'no bulkhead.yaml was accepted' : `${JSON.stringify(result.accepted, null, 2)}\naccepted by ${result.by} at ${time(result.at ?? '')}, ${result.hash?.slice(0, 12)}`,
  'config.accept': (result) => `the bulkhead.yaml of ${result.ref} counts from its next start`,
  'caller.show': (result, { paint }) => {
    const who = `${result.caller}: uid ${result.uid}${result.user === null ? '' : ` (${result.user})`}, pid ${result.pid}, through ${result.channel}`;
    const rows = [
      ...(result.agent === null ? [] : [['  looks like', result.agent]]),
      ...result.evidence.map((text, at) => [at === 0 ? '  because' : '', text]),
      ...(result.until === null ? [] : [['  until', time(result.until)]]),
      ...result.may.map((text, at) => [at === 0 ? '  may' : '', text]),
      ...result.mayNot.map((text, at) => [at === 0 ? '  may not' : '', text]),
    ];
    return `${paint.bold(who)}\n${table(rows)}`;
  },
  'caller.sign-in': (result, { paint }) =>
    `${paint.good('✔')} signed in as ${result.person} on this terminal until ${time(result.until)} (commands typed here; not what they start)`,
  'caller.sign-out': (result) => (result.ended === 0 ? 'nobody was signed in here' : 'signed out'),
  'policy.show': (result) =>
    table([
      ['on', 'effect', 'agent, or not signed in', 'person', 'cell', 'because'],
      ...result.rules.map((rule) => [rule.target, rule.effect, rule.unproven, rule.person, rule.cell, rule.reason]),
    ], 140),
  'audit.log': (result) => auditLines(result.records),
  'audit.verify': (result, { paint }) =>
    result.intact ? `${paint.good('✔')} intact: ${result.records} records` : `${paint.bad('✘')} not intact: ${result.finding} (${result.records} records before it are right)`,
  'machine.doctor': (result, { paint }) => doctor(result.findings, paint),
  'machine.status': (result) => {
    const rows = [
      ['daemon', `${result.version}${result.instance === '' ? '' : `, instance ${result.instance}`}, since ${time(result.started)}`],
      ['pool', result.pool === null ? (result.poolNote ?? '–') : `${formatBytes(result.pool.used)} of ${formatBytes(result.pool.size)} used, ${formatBytes(result.pool.free)} free, floor ${formatBytes(result.pool.floor)}`],
      ['apps', `${result.apps}, forks ${result.forks}, ${result.up} up`],
      ['factor', result.enrolled ? 'enrolled' : 'none enrolled: sudo bulkhead init'],
      ...result.recovered.map((text) => ['recovered', text]),
      ...result.notes.map((text) => ['note', text]),
    ];
    return table(rows);
  },
};

export function auditLines(records: Output<'audit.log'>['records']): string {
  const rows = records.map((one) => [
    String(one.seq), one.at.slice(0, 19).replace('T', ' '), one.caller.name, one.operation, one.target ?? '–',
    one.phase === 'outcome' ? one.outcome : one.phase, one.code ?? '', argumentsOf(one.arguments),
  ]);
  return table(rows, 120);
}

const argumentsOf = (value: unknown): string => {
  if (typeof value !== 'object' || value === null) return '';
  const command = (value as { command?: unknown }).command;
  return Array.isArray(command) ? command.join(' ') : '';
};

function doctor(findings: Output<'machine.doctor'>['findings'], paint: Paint): string {
  const mark = { ok: paint.good('✔'), warn: paint.warn('!'), bad: paint.bad('✘') };
  const lines = findings.flatMap((one) => [
    `${mark[one.level]} ${one.text}`,
    ...(one.why === null ? [] : [`    ${one.why}`]),
    ...(one.remedy === null ? [] : [`    → ${one.remedy}`]),
  ]);
  const found = findings.filter((one) => one.level !== 'ok').length;
  const end = `${found === 0 ? 'No' : found} finding${found === 1 ? '' : 's'}. Not protected in any case: an agent with root. See docs/design/threat-model.md`;
  return [...lines, end].join('\n');
}

/** Shows a result as its view says, or field by field. */
export function show<N extends OperationName>(context: Context, name: N, result: Output<N>, flags: CommonFlags): void {
  const { stdout, env } = context.process;
  if (flags.json === true) return void stdout.write(`${JSON.stringify({ type: 'result', result })}\n`);
  const view = VIEWS[name] as View<N> | undefined;
  const text = view?.(result, { paint: paintFor(stdout, env), flags, context });
  if (text !== undefined && text !== '') stdout.write(`${text}\n`);
  else if (view === undefined) stdout.write(`${table(Object.entries(result as object).map(([key, value]) => [key, String(value)]))}\n`);
}

