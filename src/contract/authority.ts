import * as z from 'zod/mini';
import { refField } from './app.ts';
import { data, flag, integer, optionalText, text } from './fields.ts';
import { operation } from './operation.ts';

export const caller = {
  'caller.show': operation({
    doc: 'Say who the daemon takes you for, why, and what you may do',
    effect: 'read',
    target: 'self',
    command: 'whoami',
    input: {},
    output: {
      caller: text('unproven, person or cell'),
      uid: data('the uid of the process that asks', z.number()),
      user: data("the uid's name", z.nullable(z.string())),
      pid: data('the process that asks', z.number()),
      channel: text('the socket it came through'),
      agent: data('the agent it looks like', z.nullable(z.string())),
      evidence: data('why', z.array(z.string())),
      until: data('when the sign-in ends', z.nullable(z.string())),
      may: data('what it may do', z.array(z.string())),
      mayNot: data('what it may not do, with the way', z.array(z.string())),
    },
    examples: ['bulkhead whoami'],
  }),
  'caller.sign-in': operation({
    doc: 'Show by your second factor that a person sits at this terminal',
    effect: 'change',
    target: 'self',
    plan: false,
    command: 'sign-in',
    factor: 'always',
    input: {},
    output: {
      person: text('whom you are taken for'),
      terminal: text('the terminal it is good for'),
      until: text('when it ends'),
    },
    examples: ['bulkhead sign-in'],
    detail:
      'Good for commands typed at this terminal into this shell, for 30 minutes or until the daemon ends.\nNot for what those commands start, and not for an agent.',
  }),
  'caller.sign-out': operation({
    doc: 'End the sign-in of this terminal',
    effect: 'change',
    target: 'self',
    plan: false,
    command: 'sign-out',
    input: {},
    output: { ended: data('how many sign-ins were ended', z.number()) },
    examples: ['bulkhead sign-out'],
  }),
  'policy.show': operation({
    doc: 'Show who may do what, with the reason for each line',
    effect: 'read',
    target: 'machine',
    command: 'policy',
    input: {},
    output: {
      rules: data(
        'a line for each effect on each target',
        z.array(
          z.object({
            effect: z.string(),
            target: z.string(),
            unproven: z.string(),
            person: z.string(),
            cell: z.string(),
            reason: z.string(),
          }),
        ),
      ),
    },
    examples: ['bulkhead policy'],
  }),
};

export const config = {
  'config.show': operation({
    doc: 'Show the accepted bulkhead.yaml of an app: the copy that counts',
    effect: 'read',
    target: 'ref',
    command: 'config show',
    input: { ref: refField('the app or fork') },
    output: {
      accepted: data('the accepted copy; null when there is none', z.nullable(z.unknown())),
      hash: data('its hash', z.nullable(z.string())),
      by: data('who accepted it', z.nullable(z.string())),
      at: data('when', z.nullable(z.string())),
    },
    examples: ['bulkhead config show shop'],
  }),
  'config.diff': operation({
    doc: 'Show what the proposed bulkhead.yaml would change',
    effect: 'read',
    target: 'ref',
    data: true,
    command: 'config diff',
    input: { ref: refField('the app or fork whose file is read') },
    output: {
      changes: data(
        'empty: nothing would change',
        z.array(z.object({ key: z.string(), accepted: z.unknown(), proposed: z.unknown() })),
      ),
      hash: data(
        'hash of the proposal, with the content of its hooks; null when there is no file',
        z.nullable(z.string()),
      ),
    },
    examples: ['bulkhead config diff shop'],
  }),
  'config.accept': operation({
    doc: 'Accept the proposed bulkhead.yaml of an app, hooks by their content',
    effect: 'change',
    target: 'authority',
    command: 'config accept',
    factor: 'always',
    input: {
      ref: refField('the app'),
      hash: optionalText('accept exactly this proposal, as `config diff` named it'),
    },
    output: { ref: text('the app'), hash: text('hash of what counts now') },
    examples: ['bulkhead config accept shop'],
  }),
};

export const auditRecord = z.object({
  seq: z.number(),
  at: z.string(),
  request: z.string(),
  phase: z.enum(['intent', 'outcome', 'event']),
  operation: z.string(),
  target: z.nullable(z.string()),
  caller: z.object({
    kind: z.string(),
    uid: z.nullable(z.number()),
    pid: z.nullable(z.number()),
    name: z.string(),
    evidence: z.array(z.string()),
  }),
  /** `allowed`, `refused`, `done`, `failed` … */
  outcome: z.string(),
  code: z.nullable(z.string()),
  arguments: z.unknown(),
  mac: z.string(),
});
export type AuditRecord = z.output<typeof auditRecord>;

export const audit = {
  'audit.log': operation({
    doc: 'Show what was asked, by whom, and what came of it',
    effect: 'read',
    target: 'machine',
    command: 'audit log',
    input: {
      lines: integer('the last N records (default 50, at most 1000)', { alias: 'n' }),
      ref: optionalText('only what was asked of this app or fork'),
      refused: flag('only refusals'),
    },
    output: { records: data('oldest first', z.array(auditRecord)) },
    examples: ['bulkhead audit log', 'bulkhead audit log --refused -n 20'],
    detail: 'Who has not signed in sees its own records only.',
  }),
  'audit.tail': operation({
    doc: 'Show records as they are written',
    effect: 'read',
    target: 'machine',
    command: 'audit tail',
    answer: 'stream',
    input: {},
    output: {},
    examples: ['bulkhead audit tail'],
  }),
  'audit.verify': operation({
    doc: 'Check the audit log for records that were changed, removed, reordered or cut off',
    effect: 'read',
    target: 'machine',
    command: 'audit verify',
    input: {},
    output: {
      intact: data('whether every record is there, as it was written', z.boolean()),
      records: data('how many were checked', z.number()),
      finding: data('the first thing that is wrong', z.nullable(z.string())),
    },
    examples: ['bulkhead audit verify'],
  }),
};
