import * as z from 'zod/mini';
import { poolView } from './app.ts';
import { bytes, data, optionalText, text } from './fields.ts';
import { operation } from './operation.ts';

export const finding = z.object({
  level: z.enum(['ok', 'warn', 'bad']),
  check: z.string(),
  text: z.string(),
  why: z.nullable(z.string()),
  remedy: z.nullable(z.string()),
});
export type Finding = z.output<typeof finding>;

export const machine = {
  'machine.init': operation({
    doc: "Make the pool and enrol the first person's second factor",
    effect: 'create',
    target: 'machine',
    command: 'init',
    answer: 'events',
    beforeInit: true,
    input: {
      size: bytes('size of the pool file, 40G (default: half of what is free, at most 400G)'),
      device: optionalText('a whole block device for the pool, instead of a file'),
      person: optionalText('the user who may sign in (default: who ran sudo, else root)'),
      floor: bytes('free space kept for production, 4G (default: a tenth of the pool)'),
    },
    output: {
      pool: data('the pool', poolView),
      person: text('who is enrolled'),
      uri: text('what the authenticator scans', { secret: true }),
      recovery: data('recovery codes, shown once', z.array(z.string()), { secret: true }),
    },
    examples: ['sudo bulkhead init', 'sudo bulkhead init --size 40G'],
  }),
  'machine.confirm': operation({
    doc: 'Finish the enrolment with a first code from the phone',
    effect: 'create',
    target: 'machine',
    command: '',
    beforeInit: true,
    plan: false,
    factor: 'always',
    input: {},
    output: { person: text('who is enrolled') },
    examples: [],
  }),
  'machine.doctor': operation({
    doc: 'Check this machine, and what an agent on it could reach around the walls',
    effect: 'read',
    target: 'machine',
    command: 'doctor',
    beforeInit: true,
    input: {},
    output: { findings: data('each with its remedy', z.array(finding)) },
    examples: ['bulkhead doctor'],
  }),
  'machine.status': operation({
    doc: 'Say how the machine, its pool and its apps are',
    effect: 'read',
    target: 'machine',
    command: 'status',
    beforeInit: true,
    input: {},
    output: {
      version: text('version of the daemon'),
      instance: text('instance that answers'),
      enrolled: data('whether a factor is enrolled', z.boolean()),
      started: text('when the daemon started'),
      pool: data('room in the pool; null: none is mounted', z.nullable(poolView)),
      poolNote: data('why there is no pool', z.nullable(z.string())),
      apps: data('number of apps', z.number()),
      forks: data('number of forks', z.number()),
      up: data('number of cells that are up', z.number()),
      recovered: data('what the last start finished or undid', z.array(z.string())),
      notes: data('what a person should know now', z.array(z.string())),
    },
    examples: ['bulkhead status'],
  }),
};
