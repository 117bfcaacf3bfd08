import { closeSync, openSync, writeSync } from 'node:fs';
import { ReadStream } from 'node:tty';
import type { Terminal } from './terminal.ts';

/**
 * Whether a person could answer: somebody's terminal is at one end of us. A controlling
 * terminal alone says nothing: an agent's commands inherit the one that its person sits at.
 */
export function canAsk({ stdin, stderr }: Terminal): boolean {
  if (!stdin.isTTY && !stderr.isTTY) return false;
  try {
    closeSync(openSync('/dev/tty', 'r+'));
    return true;
  } catch {
    return false;
  }
}

/**
 * Asks on the terminal itself, wherever standard input and output lead: one line, edited by
 * the kernel, so that Ctrl-C ends us as ever. Empty where the terminal has gone.
 */
export async function ask(question: string): Promise<string> {
  const fd = openSync('/dev/tty', 'r+');
  writeSync(fd, question);
  const input = new ReadStream(fd);
  try {
    let line = '';
    for await (const chunk of input as AsyncIterable<Buffer>) {
      line += chunk.toString('utf8');
      if (line.includes('\n')) break;
    }
    return line.split('\n')[0]?.trim() ?? '';
  } finally {
    input.destroy();
  }
}

/** Codes are typed in groups. */
export const askCode = async (question: string): Promise<string> => (await ask(question)).replaceAll(/[\s]/g, '');
