import type { ErrorCode } from '../contract/errors.ts';
import type { Operation } from '../contract/operation.ts';
import { ownerOf, type Caller } from './caller.ts';
import type { Id } from './ids.ts';
import { RULES, ruleFor, takesPoint, type Area, type Right } from './policy-rules.ts';
import { refusal } from './refusals.ts';

/** Forks that one uid may have at once, where nothing else is set. */
export const FORK_QUOTA = 10;

/** What an operation is asked to act on. */
export interface PolicyTarget {
  kind: 'machine' | 'authority' | 'self' | 'app' | 'fork';
  /** Its ref; null: nothing that has a name. */
  name: string | null;
  /** Null: it does not exist yet, or is none of an app and a fork. */
  id: Id | null;
  /** As `ownerOf` writes it; null where nobody owns it. */
  owner: string | null;
}

export interface Question {
  name: string;
  operation: Pick<Operation, 'effect' | 'target' | 'data' | 'factor' | 'beforeInit' | 'point' | 'command' | 'input'>;
  caller: Caller;
  target: PolicyTarget;
  /** What a new fork is made from, where that is a fork: its data goes into the new one. */
  source?: PolicyTarget;
  /** Forks that the caller's uid has, and may have. */
  forks: number;
  quota: number;
  /** False until a person has confirmed a second factor. */
  enrolled: boolean;
  /** For messages: the same command on a fork is what would work. */
  input?: Readonly<Record<string, unknown>>;
  /** A fork of the app that the caller has already. */
  fork?: string;
}

export type Verdict =
  | {
      allowed: true;
      /** The second factor is to be checked before anything is done. */
      needsFactor: boolean;
      /** A point of the app is to be taken before. */
      point: boolean;
    }
  | { allowed: false; code: ErrorCode; message: string; why?: string; next: string[] };

/** Whether a caller may, and under which conditions. Total: what no rule allows is refused. */
export function decide(question: Question): Verdict {
  const { operation, caller } = question;
  if (!question.enrolled) return beforeInit(question);
  const area = areaOf(question);
  if (area === undefined) return refusal(question, { why: 'unknown' });
  const rule = ruleFor({ name: question.name, area, effect: operation.effect, data: operation.data ?? false });
  if (rule === undefined) return refusal(question, { why: 'unknown', area });
  const right = rule[caller.kind];
  const because = obstacleTo(question, right) ?? signInObstacle(question);
  if (because !== undefined) return refusal(question, { why: because, area, rule });
  return {
    allowed: true,
    needsFactor: needsFactor(operation, area, right),
    point: takesPoint(area, operation.effect) && operation.point !== false,
  };
}

/** Why something is refused: the reasons that messages are written for. */
export type Because =
  | 'unknown'
  | 'not-set-up'
  | 'not-allowed'
  | 'not-own'
  | 'quota'
  | 'source'
  | 'agent-sign-in'
  | 'no-sign-in-here';

/** Root alone, and only what makes the machine ready. */
function beforeInit(question: Question): Verdict {
  const { caller, operation } = question;
  const root = caller.kind === 'unproven' && caller.uid === 0;
  if (!root || operation.beforeInit !== true) return refusal(question, { why: 'not-set-up' });
  return { allowed: true, needsFactor: operation.factor === 'always', point: false };
}

/** Undefined where the target is none that the operation may have. */
function areaOf({ operation, target }: Question): Area | undefined {
  switch (operation.target) {
    case 'machine':
    case 'authority':
    case 'self':
      return target.kind === operation.target ? operation.target : undefined;
    case 'app':
      return target.kind === 'app' ? 'production' : undefined;
    case 'fork':
      return target.kind === 'fork' ? 'fork' : undefined;
    case 'ref':
      return target.kind === 'app' ? 'production' : target.kind === 'fork' ? 'fork' : undefined;
    default:
      return undefined;
  }
}

function obstacleTo(question: Question, right: Right): Because | undefined {
  const { caller, target, source, operation } = question;
  switch (right) {
    case 'no':
      return 'not-allowed';
    case 'own':
      if (!owns(caller, target)) return 'not-own';
      break;
    case 'factor':
      if (caller.kind !== 'person') return 'not-allowed';
      break;
    case 'quota':
    case 'yes':
      break;
    default:
      return 'unknown';
  }
  if (caller.kind !== 'unproven') return undefined;
  if (source !== undefined && source.kind === 'fork' && !owns(caller, source)) return 'source';
  const makesFork = target.kind === 'fork' && operation.effect === 'create';
  return makesFork && question.forks >= question.quota ? 'quota' : undefined;
}

/** A sign-in is asked for by whoever has none: here alone what is seen decides. */
function signInObstacle({ name, caller }: Question): Because | undefined {
  if (name !== 'caller.sign-in' || caller.kind !== 'unproven') return undefined;
  if (caller.agent !== null) return 'agent-sign-in';
  return (caller.obstacle ?? null) === null ? undefined : 'no-sign-in-here';
}

/**
 * An agent that shows its name owns what it made under it, no more: neither the person's forks
 * nor another agent's. Who shows none has the uid's.
 */
export function owns(caller: Caller, target: Pick<PolicyTarget, 'id' | 'owner'>): boolean {
  if (caller.kind === 'cell') return target.id !== null && target.id === caller.cell;
  if (target.owner === null) return false;
  if (target.owner === ownerOf(caller)) return true;
  return caller.kind === 'unproven' && caller.agent === null && target.owner.startsWith(`${caller.uid}/`);
}

function needsFactor(operation: Question['operation'], area: Area, right: Right): boolean {
  if (right === 'factor' || operation.factor === 'always') return true;
  return operation.factor === 'production' && area === 'production';
}

const WORDS: Record<Right, string> = {
  yes: 'yes',
  no: 'no',
  own: 'its own',
  quota: 'yes, within the quota',
  factor: 'factor again',
};

/** The table as `bulkhead policy` shows it. */
export const POLICY: readonly {
  effect: string;
  target: string;
  unproven: string;
  person: string;
  cell: string;
  reason: string;
}[] = RULES.map((rule) => ({
  effect: `${rule.effect}${rule.data === true ? ' data' : ''}${rule.operation === undefined ? '' : ` (${rule.operation})`}`,
  target: rule.area,
  unproven: WORDS[rule.unproven],
  person: `${WORDS[rule.person]}${takesPoint(rule.area, rule.effect) ? ', a point first' : ''}`,
  cell: WORDS[rule.cell],
  reason: rule.reason,
}));
