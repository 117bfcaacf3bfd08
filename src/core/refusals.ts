import { quote } from '../contract/names.ts';
import type { Caller } from './caller.ts';
import { commandFor } from './command-line.ts';
import { agentTitle } from './markers.ts';
import { overrideRefusal } from './override.ts';
import type { Because, Question, Verdict } from './policy.ts';
import type { Area, Rule } from './policy-rules.ts';

type Refusal = Extract<Verdict, { allowed: false }>;
type Words = Pick<Refusal, 'message' | 'why' | 'next'>;

/** A refusal that says what stands in the way, what was seen, and the command that would work. */
export function refusal(question: Question, because: { why: Because; area?: Area; rule?: Rule }): Refusal {
  const { caller } = question;
  if (because.why === 'not-set-up') return notSetUp(caller);
  if (because.why === 'quota') return overQuota(question);
  const override = caller.kind === 'unproven' ? caller.override : null;
  if (override !== null && because.why === 'not-allowed') {
    const next = [...forkLines(question), 'bulkhead sign-in'];
    return { allowed: false, code: 'override-refused', ...overrideRefusal(override), next };
  }
  return { allowed: false, code: 'refused', ...words(question, because) };
}

function words(question: Question, { why, area, rule }: { why: Because; area?: Area; rule?: Rule }): Words {
  const { caller } = question;
  switch (why) {
    case 'agent-sign-in':
      return {
        message: 'An agent cannot sign in',
        why: `${looks(caller)} A person signs in, in a terminal that no agent started.`,
        next: ['bulkhead whoami', ...forkLines(question)],
      };
    case 'no-sign-in-here':
      return withWhy('Nobody can sign in from here', obstacleOf(caller), ['bulkhead whoami']);
    case 'not-own':
      return notOwn(question);
    case 'source':
      return withWhy(
        `Cannot fork ${quote(question.source?.name ?? '')}: it is not a fork of yours`,
        "A fork's data is its owner's.",
        forkLines(question),
      );
    default:
      if (caller.kind === 'cell') return inCell(question, rule);
      if (caller.kind === 'unproven' && area === 'production') return production(question, caller, rule);
      if (caller.kind === 'unproven' && rule !== undefined) return needsPerson(question, caller, rule);
      return withWhy(`No rule allows ${quote(question.name)} here`, sentenceOf(rule), ['bulkhead policy']);
  }
}

function notSetUp(caller: Caller): Refusal {
  const why =
    caller.kind === 'unproven' && caller.uid === 0 ? undefined : 'Until a person is enrolled, only root is answered.';
  return { allowed: false, code: 'refused', ...withWhy('This machine is not set up yet', why, ['sudo bulkhead init']) };
}

function overQuota({ target, forks, quota }: Question): Refusal {
  return {
    allowed: false,
    code: 'quota',
    message: `Cannot fork ${quote(target.name ?? '')}: you have ${forks} of ${quota} forks`,
    why: 'They go by themselves when their time is over; one that is removed makes room at once.',
    next: ['bulkhead ls', 'bulkhead rm REF'],
  };
}

/** The refusal that matters most: production, to who has not signed in. */
function production(question: Question, caller: Unproven, rule: Rule | undefined): Words {
  const { target, operation } = question;
  const name = target.name ?? 'this app';
  const verb =
    operation.effect === 'read' ? 'Reading the data of' : operation.effect === 'destroy' ? 'Removing' : 'Changing';
  if (operation.effect === 'create') return needsPerson(question, caller, rule);
  if (caller.agent !== null)
    return {
      message: `${name} is production, and you are not signed in as a person`,
      why: `${looks(caller)}\nWork in a fork: it is a full copy, takes milliseconds, and nothing in it can reach production.`,
      next: forkLines(question),
    };
  const message = `${verb} production needs a signed-in person: ${name} is production`;
  const obstacle = obstacleOf(caller);
  if (obstacle === undefined) return withWhy(message, caller.uncovered ?? undefined, ['bulkhead sign-in']);
  return withWhy(message, obstacle, [...forkLines(question), 'bulkhead sign-in']);
}

type Unproven = Extract<Caller, { kind: 'unproven' }>;

/** The table of the policy has no full stops. */
const sentenceOf = (rule: Rule | undefined): string | undefined => (rule === undefined ? undefined : `${rule.reason}.`);

function needsPerson({ operation, name }: Question, caller: Unproven, rule: Rule | undefined): Words {
  const message = `${quote(operation.command || name)} needs a signed-in person`;
  if (caller.agent !== null)
    return withWhy(message, `${looks(caller)} ${sentenceOf(rule) ?? ''}`.trim(), [
      'bulkhead whoami',
      'bulkhead policy',
    ]);
  const obstacle = obstacleOf(caller) ?? caller.uncovered ?? sentenceOf(rule);
  return withWhy(message, obstacle, ['bulkhead sign-in']);
}

function notOwn(question: Question): Words {
  const { caller, target } = question;
  const name = quote(target.name ?? '');
  if (caller.kind === 'cell') return inCell(question, undefined);
  const as =
    caller.kind === 'unproven' && caller.agent !== null
      ? `${looks(caller)} An agent has the forks that it made itself.`
      : undefined;
  return withWhy(`${name} is not a fork of yours`, as, forkLines(question));
}

function inCell({ operation, name }: Question, rule: Rule | undefined): Words {
  return withWhy(
    `A cell cannot ask for ${quote(operation.command || name)} here`,
    sentenceOf(rule) ?? 'Through its socket a cell reaches itself, and nothing else of the machine.',
    ['bulkhead whoami'],
  );
}

/** `You look like Claude Code (CLAUDECODE=1 in process 41873, its parent claude 41790).` */
function looks(caller: Caller): string {
  if (caller.kind !== 'unproven' || caller.agent === null) return '';
  const seen = caller.evidence.slice(0, 2).join(', ');
  return `You look like ${agentTitle(caller.agent)}${seen === '' ? '' : ` (${seen})`}.`;
}

const obstacleOf = (caller: Caller): string | undefined =>
  caller.kind === 'unproven' ? (caller.obstacle ?? undefined) : undefined;

/** The same work, in a fork. */
function forkLines(question: Question): string[] {
  const app = (question.target.name ?? '').split(':')[0] ?? '';
  if (app === '' || (question.target.kind !== 'app' && question.target.kind !== 'fork')) return [];
  if (question.operation.target === 'app') return [];
  const taken = question.target.kind === 'fork' ? question.target.name : undefined;
  const fork = question.fork ?? (taken === `${app}:fix` ? `${app}:fix2` : `${app}:fix`);
  const same = question.operation.target === 'ref' && question.operation.effect !== 'destroy';
  return [
    ...(question.fork === undefined ? [`bulkhead fork ${fork}`] : []),
    ...(same ? [commandFor(question.operation, question.input ?? {}, fork)] : []),
  ];
}

const withWhy = (message: string, why: string | undefined, next: string[]): Words =>
  why === undefined ? { message, next } : { message, why, next };
