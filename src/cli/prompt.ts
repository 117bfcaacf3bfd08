import { openSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { ReadStream, WriteStream } from 'node:tty';

/** Asks on the terminal, whatever stdin and stdout are; undefined where there is none. */
export function ask(question: string): Promise<string | undefined> {
  let input: ReadStream;
  let output: WriteStream;
  try {
    input = new ReadStream(openSync('/dev/tty', 'r'));
    output = new WriteStream(openSync('/dev/tty', 'w'));
  } catch {
    return Promise.resolve(undefined);
  }
  return new Promise((resolve) => {
    const lines = createInterface({ input, output, terminal: true, historySize: 0 });
    let answer: string | undefined;
    lines.question(question, (text) => {
      answer = text.trim();
      lines.close();
    });
    lines.on('close', () => {
      input.destroy();
      output.destroy();
      resolve(answer === '' ? undefined : answer);
    });
  });
}
