import * as z from 'zod/mini';
import { data, flag, optionalText, text } from './fields.ts';
import { operation } from './operation.ts';

export const refField = (doc: string) => text(doc, { positional: 'one' });

/** What an app or a fork is doing. */
export const STATES = ['making', 'down', 'starting', 'up', 'failed', 'stopping', 'frozen', 'removing'] as const;

/** One app or fork, as `ls` shows it. */
export const volumeView = z.object({
  ref: z.string(),
  id: z.string(),
  kind: z.enum(['app', 'fork']),
  /** What a fork was made from; a point is named `shop@2026-11-29T14:29:03Z`. */
  parent: z.nullable(z.string()),
  state: z.enum(STATES),
  /** More of the state, for people: `restarted 3 times, next try in 8 s`. */
  note: z.nullable(z.string()),
  owner: z.string(),
  created: z.string(),
  expires: z.nullable(z.string()),
  /** Bytes that it wrote itself. Null while the pool cannot tell. */
  own: z.nullable(z.number()),
  /** Bytes that it shares with what it was made from. */
  shared: z.nullable(z.number()),
  /** The most that it may write itself; null: no limit (production). */
  cap: z.nullable(z.number()),
  egress: z.enum(['none', 'any', 'production']),
  ports: z.array(z.string()),
});
export type VolumeView = z.output<typeof volumeView>;

export const poolView = z.object({
  size: z.number(),
  used: z.number(),
  free: z.number(),
  /** Bytes of free space that are kept for production. */
  floor: z.number(),
});

export const app = {
  'app.create': operation({
    doc: 'Make an app, empty or from a directory that is read as you',
    effect: 'create',
    target: 'app',
    command: 'create',
    answer: 'stream',
    input: {
      name: text('name of the new app', { positional: 'one' }),
      from: optionalText('directory whose files become the app (read by you, not by root)'),
      owners: flag('keep numeric owners', { internal: true }),
    },
    output: {
      ref: text('ref of the new app'),
      id: text('its UUID'),
      files: data('files, directories and links taken in', z.number()),
      bytes: data('bytes of file content taken in', z.number()),
      proposal: data('whether it brought a bulkhead.yaml, which waits to be accepted', z.boolean()),
    },
    examples: ['bulkhead create shop --from ./shop', 'bulkhead create blog'],
    detail:
      'A symlink is kept as a link and never followed. Devices and sockets are refused.\nA bulkhead.yaml at the root is a proposal: it counts once a person has accepted it, by factor.',
  }),
  'app.list': operation({
    doc: 'Show apps and forks as a tree, with what each holds and when it goes',
    effect: 'read',
    target: 'machine',
    command: 'ls',
    input: { ref: optionalText('only this app and its forks', { positional: 'one' }) },
    output: {
      volumes: data('apps and forks, an app before its forks', z.array(volumeView)),
      pool: data('room in the pool', z.nullable(poolView)),
    },
    examples: ['bulkhead ls', 'bulkhead ls shop --json'],
  }),
  'volume.remove': operation({
    doc: 'Move a fork or an app to the trash',
    effect: 'destroy',
    target: 'ref',
    command: 'rm',
    answer: 'events',
    factor: 'production',
    input: {
      ref: refField('the fork or app'),
      confirm: optionalText('for an app: its name, typed again'),
    },
    output: {
      ref: text('what was removed'),
      trash: text('its name in the trash'),
      until: text('when the trash lets go of it'),
    },
    examples: ['bulkhead rm shop:fix', 'bulkhead rm shop --confirm shop'],
    detail: 'Nothing is destroyed: `bulkhead trash restore` brings it back until its time is over.',
  }),
};

export const point = {
  'point.list': operation({
    doc: 'List the points of an app that one can go back to',
    effect: 'read',
    target: 'ref',
    command: 'points',
    input: { ref: refField('the app') },
    output: {
      points: data(
        'newest first',
        z.array(
          z.object({
            id: z.string(),
            name: z.string(),
            created: z.string(),
            /** The operations on production that came after it, until the next point. */
            after: z.array(z.object({ operation: z.string(), caller: z.string(), at: z.string() })),
          }),
        ),
      ),
    },
    examples: ['bulkhead points shop', 'bulkhead fork shop:look --from POINT'],
  }),
};
