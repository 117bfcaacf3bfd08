/** Colours and weights, where they are seen; plain text elsewhere. */
export interface Paint {
  readonly good: (text: string) => string;
  readonly bad: (text: string) => string;
  readonly warn: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly bold: (text: string) => string;
  /** White on black whatever the terminal's colours are: what a camera reads must not be inverted. */
  readonly onBlack: (text: string) => string;
}

const wrap =
  (on: boolean, from: number | string, to: number | string) =>
  (text: string): string =>
    on && text !== '' ? `\u001b[${from}m${text}\u001b[${to}m` : text;

/** Colours only on a terminal that has them, and not against NO_COLOR (no-color.org). */
export function createPaint(stream: { isTTY?: boolean }, env: Readonly<Record<string, string | undefined>>): Paint {
  const on = stream.isTTY === true && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb';
  return {
    good: wrap(on, 32, 39),
    bad: wrap(on, 31, 39),
    warn: wrap(on, 33, 39),
    dim: wrap(on, 2, 22),
    bold: wrap(on, 1, 22),
    onBlack: wrap(on, '97;40', '39;49'),
  };
}
