import type { Effect } from '../contract/operation.ts';

/** What an operation touches, as the policy sees it. */
export type Area = 'production' | 'fork' | 'machine' | 'authority' | 'self';

/**
 * `own`: a fork that the caller owns; for a cell, itself.
 * `quota`: as long as the user has fewer forks than it may.
 * `factor`: with the second factor, each time.
 */
export type Right = 'yes' | 'no' | 'own' | 'quota' | 'factor';

/** Who asks: a column of the table. */
export type Column = 'unproven' | 'person' | 'cell' | 'service';

export interface Rule extends Record<Column, Right> {
  area: Area;
  effect: Effect;
  /** For reads: of the app's data, not of its name and state. */
  data?: true;
  /** For this operation alone. */
  operation?: string;
  reason: string;
}

/** The first line that fits decides; where none does, the answer is no. */
export const RULES: readonly Rule[] = [
  // One operation each
  {
    operation: 'app.list',
    area: 'machine',
    effect: 'read',
    unproven: 'yes',
    person: 'yes',
    cell: 'yes',
    service: 'yes',
    reason: 'Names and states are told to everyone on the machine; a cell is shown itself alone',
  },
  {
    operation: 'policy.show',
    area: 'machine',
    effect: 'read',
    unproven: 'yes',
    person: 'yes',
    cell: 'yes',
    service: 'yes',
    reason: 'A rule that is known is kept more easily',
  },
  {
    operation: 'trash.restore',
    area: 'fork',
    effect: 'create',
    unproven: 'own',
    person: 'yes',
    cell: 'no',
    service: 'no',
    reason: 'Who may remove a fork may bring it back',
  },

  // Production
  {
    area: 'production',
    effect: 'read',
    unproven: 'yes',
    person: 'yes',
    cell: 'own',
    service: 'yes',
    reason: 'That it exists and how it is, without its data',
  },
  {
    area: 'production',
    effect: 'read',
    data: true,
    unproven: 'no',
    person: 'yes',
    cell: 'own',
    service: 'no',
    reason: 'Reading its data counts as changing it: forks may be masked, production is not',
  },
  {
    area: 'production',
    effect: 'create',
    unproven: 'no',
    person: 'yes',
    cell: 'no',
    service: 'no',
    reason: 'A new app is production from its first moment',
  },
  {
    area: 'production',
    effect: 'change',
    unproven: 'no',
    person: 'yes',
    cell: 'no',
    service: 'no',
    reason: 'Only people change production, and there is a point to go back to',
  },
  {
    area: 'production',
    effect: 'destroy',
    unproven: 'no',
    person: 'factor',
    cell: 'no',
    service: 'no',
    reason:
      'Whoever shares a user can type into a signed-in terminal: the factor is asked again, then it goes to the trash',
  },

  // Forks
  {
    area: 'fork',
    effect: 'read',
    unproven: 'yes',
    person: 'yes',
    cell: 'own',
    service: 'yes',
    reason: 'That it exists and how it is, without its data',
  },
  {
    area: 'fork',
    effect: 'read',
    data: true,
    unproven: 'own',
    person: 'yes',
    cell: 'own',
    service: 'no',
    reason: "A fork's data is its owner's",
  },
  {
    area: 'fork',
    effect: 'create',
    unproven: 'quota',
    person: 'yes',
    cell: 'no',
    service: 'no',
    reason: 'Forks are disposable and capped; a cell that made forks would leave its cap',
  },
  {
    area: 'fork',
    effect: 'change',
    unproven: 'own',
    person: 'yes',
    cell: 'own',
    service: 'yes',
    reason: 'It may be broken: that is what it is for',
  },
  {
    area: 'fork',
    effect: 'destroy',
    unproven: 'own',
    person: 'yes',
    cell: 'no',
    service: 'yes',
    reason: 'Into the trash; the reaper takes forks whose time is over',
  },

  // The machine, and what decides who may do what
  {
    area: 'machine',
    effect: 'read',
    unproven: 'yes',
    person: 'yes',
    cell: 'no',
    service: 'yes',
    reason:
      'Secrets are redacted, and of the audit log everyone sees their own; a cell has no business with the machine',
  },
  {
    area: 'machine',
    effect: 'create',
    unproven: 'no',
    person: 'factor',
    cell: 'no',
    service: 'no',
    reason: 'The pool and the first factor are made once, by root, before anyone is enrolled',
  },
  {
    area: 'machine',
    effect: 'change',
    unproven: 'no',
    person: 'factor',
    cell: 'no',
    service: 'no',
    reason: 'Everything stands on it',
  },
  {
    area: 'authority',
    effect: 'create',
    unproven: 'no',
    person: 'factor',
    cell: 'no',
    service: 'no',
    reason: 'It decides who may do what',
  },
  {
    area: 'authority',
    effect: 'change',
    unproven: 'no',
    person: 'factor',
    cell: 'no',
    service: 'no',
    reason: 'It decides who may do what',
  },
  {
    area: 'authority',
    effect: 'destroy',
    unproven: 'no',
    person: 'factor',
    cell: 'no',
    service: 'no',
    reason: 'It cannot be brought back',
  },

  // The caller itself
  {
    area: 'self',
    effect: 'read',
    unproven: 'yes',
    person: 'yes',
    cell: 'yes',
    service: 'no',
    reason: 'Everyone may know what they are taken for',
  },
  {
    area: 'self',
    effect: 'change',
    unproven: 'yes',
    person: 'yes',
    cell: 'no',
    service: 'no',
    reason: 'The factor proves the person: at a terminal, in a shell, and not for who looks like an agent',
  },
];

/** The rule for an operation; undefined: there is none, and the answer is no. */
export function ruleFor(of: { name: string; area: Area; effect: Effect; data: boolean }): Rule | undefined {
  return RULES.find(
    (rule) =>
      rule.area === of.area &&
      rule.effect === of.effect &&
      (rule.operation === undefined
        ? (rule.data ?? false) === (of.data && of.effect === 'read')
        : rule.operation === of.name),
  );
}

/** True where a point is taken before it is done. */
export function takesPoint(area: Area, effect: Effect): boolean {
  return area === 'production' && (effect === 'change' || effect === 'destroy');
}
