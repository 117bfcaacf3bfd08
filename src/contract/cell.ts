import * as z from 'zod/mini';
import { refField } from './app.ts';
import { data, flag, integer, optionalText, text, words } from './fields.ts';
import { operation } from './operation.ts';

const upOutput = {
  ref: text('the app or fork'),
  state: text('its state now'),
  url: data('where it answers, if it publishes a port', z.nullable(z.string())),
  timings: data('milliseconds of each step', z.array(z.object({ step: z.string(), ms: z.number() }))),
};

export const cell = {
  'cell.up': operation({
    doc: 'Start an app or a fork and keep it up',
    effect: 'change',
    target: 'ref',
    command: 'up',
    answer: 'events',
    input: { ref: refField('the app or fork') },
    output: upOutput,
    examples: ['bulkhead up shop', 'bulkhead up shop:fix'],
  }),
  'cell.down': operation({
    doc: 'Stop an app or a fork in order, within a deadline',
    effect: 'change',
    target: 'ref',
    command: 'down',
    answer: 'events',
    input: { ref: refField('the app or fork') },
    output: { ref: text('the app or fork'), state: text('its state now') },
    examples: ['bulkhead down shop:fix'],
  }),
  'cell.restart': operation({
    doc: 'Stop an app or a fork and start it again',
    effect: 'change',
    target: 'ref',
    command: 'restart',
    answer: 'events',
    input: { ref: refField('the app or fork') },
    output: upOutput,
    examples: ['bulkhead restart shop'],
  }),
  'cell.processes': operation({
    doc: 'List the processes of a cell by session',
    effect: 'read',
    target: 'ref',
    command: 'ps',
    input: { ref: refField('the app or fork') },
    output: {
      processes: data(
        'oldest first',
        z.array(
          z.object({
            /** The id inside the cell. */
            pid: z.number(),
            user: z.number(),
            /** `up`, `init`, or a session's id. */
            session: z.string(),
            started: z.string(),
            rss: z.number(),
            command: z.string(),
          }),
        ),
      ),
    },
    examples: ['bulkhead ps shop:fix'],
  }),
  'cell.logs': operation({
    doc: 'Show what the app wrote to its output',
    effect: 'read',
    target: 'ref',
    data: true,
    command: 'logs',
    answer: 'stream',
    input: {
      ref: refField('the app or fork'),
      lines: integer('only the last N lines (default 200)', { alias: 'n' }),
      follow: flag('go on as more comes', { alias: 'f' }),
    },
    output: {},
    examples: ['bulkhead logs shop:fix', 'bulkhead logs -f -n 20 shop:fix'],
  }),
};

export const session = {
  'session.exec': operation({
    doc: 'Run a command in the cell of an app or fork, as its user agent',
    effect: 'change',
    target: 'ref',
    plan: false,
    command: 'exec',
    answer: 'stream',
    input: {
      ref: refField('the app or fork'),
      command: words('the command and its arguments, after --', { positional: 'rest' }),
      interactive: flag('send standard input', { alias: 'i' }),
      terminal: flag('give it a terminal', { alias: 't' }),
      directory: optionalText('working directory in the cell (default /app)', { alias: 'w' }),
      rows: integer('terminal rows', { internal: true }),
      columns: integer('terminal columns', { internal: true }),
      term: optionalText('kind of terminal', { internal: true }),
    },
    output: { code: data("the command's exit code", z.number()) },
    examples: ["bulkhead exec shop:fix -- psql -c 'select 1'", 'bulkhead exec -it shop:fix -- bash'],
    detail:
      "Standard output, standard error and the exit code are the command's own; 125 is a failure of ours, refusals included.",
  }),
  'session.attach': operation({
    doc: 'Go on with a session of your own after its connection was lost',
    effect: 'change',
    target: 'ref',
    plan: false,
    point: false,
    command: '',
    answer: 'stream',
    input: {
      ref: refField('the app or fork'),
      session: text('UUID of the session'),
      /** Bytes of stdin already sent are not sent again. */
    },
    output: { code: data("the command's exit code", z.number()) },
    examples: [],
  }),
};
