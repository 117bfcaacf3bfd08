import type { Finding } from '../contract/machine.ts';
import { escapeText } from '../contract/names.ts';
import type { Output } from '../contract/operations.ts';
import type { Look } from './context.ts';
import { shown } from './perform.ts';
import { count, safeLines, wrap } from './terminal/text.ts';

/** `doctor`: each finding with its remedy. Ends with 1 where something is bad. */
export const doctor = shown('machine.doctor', lines, ({ findings }) =>
  findings.some((finding) => finding.level === 'bad') ? 1 : 0,
);

const ORDER = { ok: 0, bad: 1, warn: 2 } as const;

function lines({ findings }: Output<'machine.doctor'>, look: Look): string[] {
  const bad = findings.filter((finding) => finding.level !== 'ok').length;
  const end = bad === 0 ? 'Nothing found.' : `${count(bad, 'finding')}.`;
  return [
    ...findings.toSorted((a, b) => ORDER[a.level] - ORDER[b.level]).flatMap((finding) => findingLines(finding, look)),
    `${end} Not protected in any case: an agent with root. See docs/design/threat-model.md`,
  ];
}

function findingLines(finding: Finding, { paint, width = Number.POSITIVE_INFINITY }: Look): string[] {
  const mark = { ok: paint.good('✔'), warn: paint.warn('!'), bad: paint.bad('✘') }[finding.level];
  const [first = '', ...more] = wrap(escapeText(finding.text), width - 4, '  ');
  const why = finding.why === null ? [] : safeLines(finding.why).flatMap((line) => wrap(line, width - 4));
  const remedy = finding.remedy === null ? [] : safeLines(finding.remedy);
  return [
    `${mark} ${first}`,
    ...more,
    ...why.map((line) => `    ${line}`),
    ...remedy.map((line, at) => `    ${at === 0 ? '→ ' : '  '}${paint.bold(line)}`),
  ];
}
