import * as z from 'zod/mini';
import { refField } from './app.ts';
import { bytes, data, flag, optionalText, seconds, text } from './fields.ts';
import { operation } from './operation.ts';

const timings = data(
  'milliseconds of each step, the flush included',
  z.array(z.object({ step: z.string(), ms: z.number() })),
);

export const fork = {
  'fork.create': operation({
    doc: 'Fork an app, a fork or a point: a full copy-on-write copy, in milliseconds',
    effect: 'create',
    target: 'fork',
    command: 'fork',
    answer: 'events',
    input: {
      ref: refField('the new fork, shop:fix; shop alone invents a tag'),
      from: optionalText('a fork of the same app, or a point of it (default: the app as it is now)'),
      ttl: seconds('how long it lives, 24h; then it goes to the trash'),
      disk: bytes('the most that it may write itself, 10G'),
      up: flag('start it, and wait until it is healthy'),
    },
    output: {
      ref: text('the new fork'),
      id: text('its UUID'),
      expires: text('when it goes to the trash'),
      cap: data('bytes that it may write itself', z.number()),
      up: data('whether it was started', z.boolean()),
      timings,
    },
    examples: [
      'bulkhead fork shop:fix',
      'bulkhead fork shop:fix --up --ttl 2h --disk 10G',
      'bulkhead fork shop:b --from shop:a',
    ],
  }),
  'fork.reset': operation({
    doc: 'Put a fork back to what it was when it was made',
    effect: 'change',
    target: 'fork',
    command: 'reset',
    answer: 'events',
    input: { ref: refField('the fork') },
    output: {
      ref: text('the fork'),
      trash: text('where its old content waits'),
      up: data('whether it was started again', z.boolean()),
      timings,
    },
    examples: ['bulkhead reset shop:fix'],
    detail: 'Ends its sessions. What it held goes to the trash.',
  }),
  'fork.extend': operation({
    doc: 'Let a fork live longer, counted from now',
    effect: 'change',
    target: 'fork',
    command: 'extend',
    input: { ref: refField('the fork'), ttl: seconds('how long from now, 24h') },
    output: { ref: text('the fork'), expires: text('when it goes to the trash') },
    examples: ['bulkhead extend shop:fix --ttl 48h'],
  }),
};

const trashItem = z.object({
  name: z.string(),
  ref: z.string(),
  id: z.string(),
  kind: z.enum(['app', 'fork', 'content']),
  removed: z.string(),
  by: z.string(),
  why: z.string(),
  until: z.string(),
  own: z.nullable(z.number()),
});

export const trash = {
  'trash.list': operation({
    doc: 'List what waits in the trash, and until when',
    effect: 'read',
    target: 'machine',
    command: 'trash ls',
    input: {},
    output: { items: data('newest first', z.array(trashItem)) },
    examples: ['bulkhead trash ls'],
  }),
  'trash.restore': operation({
    doc: 'Bring something back from the trash',
    effect: 'create',
    target: 'ref',
    command: 'trash restore',
    answer: 'events',
    input: {
      name: refField('its name in the trash, as `trash ls` shows it'),
      as: optionalText('another name for it, where the old one is taken'),
    },
    output: { ref: text('what is back') },
    examples: ['bulkhead trash restore shop:fix', 'bulkhead trash restore shop:fix --as shop:fix2'],
  }),
  'trash.purge': operation({
    doc: 'Delete something in the trash for good, after a waiting time',
    effect: 'destroy',
    target: 'authority',
    command: 'trash purge',
    answer: 'events',
    factor: 'always',
    input: { name: refField('its name in the trash') },
    output: { name: text('what is being deleted'), at: text('when the reaper deletes it') },
    examples: ['bulkhead trash purge shop:fix'],
    detail: 'A person, by factor. The reaper deletes it after ten minutes; until then `trash restore` still works.',
  }),
};
