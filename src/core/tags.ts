/** Words that make an invented tag easy to say and to tell apart: `calm-otter`. */
const FIRST = [
  'amber',
  'bold',
  'brisk',
  'calm',
  'clear',
  'deft',
  'eager',
  'fair',
  'fresh',
  'glad',
  'keen',
  'light',
  'lucid',
  'mild',
  'neat',
  'quick',
  'quiet',
  'ready',
  'sharp',
  'solid',
  'spry',
  'still',
  'swift',
  'warm',
];
const SECOND = [
  'auk',
  'crane',
  'dunlin',
  'eider',
  'finch',
  'gannet',
  'heron',
  'ibis',
  'knot',
  'lark',
  'martin',
  'otter',
  'petrel',
  'plover',
  'rail',
  'seal',
  'skua',
  'smelt',
  'stilt',
  'swan',
  'tern',
  'thrush',
  'vole',
  'wren',
];

/** A tag that is not taken. `random` gives numbers from 0 up to 1. */
export function inventTag(taken: ReadonlySet<string>, random: () => number): string {
  const pick = (words: readonly string[]): string => words[Math.floor(random() * words.length)] ?? 'fork';
  for (let attempt = 0; attempt < 50; attempt += 1) {
    const tag = `${pick(FIRST)}-${pick(SECOND)}`;
    if (!taken.has(tag)) return tag;
  }
  let number = taken.size;
  while (taken.has(`fork-${number}`)) number += 1;
  return `fork-${number}`;
}
