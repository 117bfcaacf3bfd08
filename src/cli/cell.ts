import { escapeText } from '../contract/names.ts';
import { shown } from './perform.ts';

const running = ({ ref, state, url }: { ref: string; state: string; url: string | null }): string[] => [
  `${escapeText(ref)} is ${state}${url === null ? '' : ` at ${escapeText(url)}`}`,
];

/** `up`, `down` and `restart`: the steps as they go, and the state they lead to. */
export const up = shown('cell.up', running);
export const restart = shown('cell.restart', running);
export const down = shown('cell.down', ({ ref, state }) => [`${escapeText(ref)} is ${state}`]);
