// A person at a terminal: a real bash on a real pseudo-terminal, in which commands are typed.

import { startApart } from './apart.ts';
import type { Who } from './stage.ts';

export interface Typed {
  code: number;
  /** What stood on the terminal after the command line, without the marks. */
  text: string;
}

/** What a program asks, and how the person answers. */
export type Answers = readonly (readonly [question: RegExp, answer: (text: string) => Promise<string>])[];

export interface Terminal {
  /** Types a command line, answers what it asks, waits until the prompt is back. */
  type(line: string, answers?: Answers, deadline?: number): Promise<Typed>;
  close(): void;
}

// The prompt says the exit code between two record separators: nothing else prints them.
const MARK = '\u001e';
const ENDED = new RegExp(`${MARK}(\\d+)${MARK}`);

/** Opens the terminal; the prompt is there when it resolves. */
export async function openTerminal(who: Who): Promise<Terminal> {
  const variables = [`PS1=${MARK}$?${MARK}`, 'TERM=dumb', 'SHELL=/bin/sh', 'HISTFILE='];
  const { input, outputs } = startApart(who, variables, [
    'script',
    '-qfec',
    'exec bash --noprofile --norc --noediting -i',
    '/dev/null',
  ]);
  let text = '';
  for (const output of outputs) output.on('data', (data: Buffer) => (text += data.toString()));

  async function until(wanted: () => boolean, deadline: number, what: string): Promise<void> {
    for (const end = performance.now() + deadline; !wanted(); await pause(10))
      if (performance.now() > end) throw new Error(`The terminal did not come back from "${what}":\n${tidy(text)}`);
  }

  const terminal: Terminal = {
    async type(line, answers = [], deadline = 60_000) {
      text = '';
      input.write(`${line}\n`);
      for (const [question, answer] of answers) {
        await until(() => question.test(text) || ENDED.test(text), deadline, line);
        if (ENDED.test(text)) break;
        const given = await answer(tidy(text));
        input.write(`${given}\n`);
        await until(() => text.includes(given), deadline, line);
      }
      await until(() => ENDED.test(text), deadline, line);
      const code = Number(ENDED.exec(text)?.[1]);
      // The terminal echoes what is typed: the first line.
      return {
        code,
        text: tidy(text.slice(0, text.search(ENDED)))
          .split('\n')
          .slice(1)
          .join('\n'),
      };
    },
    close: () => void input.end('exit\n'),
  };
  await until(() => ENDED.test(text), 10_000, 'its start');
  await terminal.type('stty cols 100 rows 40');
  return terminal;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** What a line reads as once everything on it is drawn: what stood before a carriage return is drawn over. */
const drawn = (line: string): string =>
  line
    .replace(/\u001b\[[0-9;?]*[A-Za-z]/g, '')
    .split('\r')
    .findLast((part) => part !== '') ?? '';

const tidy = (text: string): string =>
  text.replaceAll(MARK, '').replaceAll('\r\n', '\n').split('\n').map(drawn).join('\n');
