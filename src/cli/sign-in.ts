import { escapeText } from '../contract/names.ts';
import { shown } from './perform.ts';
import { when } from './terminal/times.ts';

/** `sign-in`: asks for the code, and says what it is good for. */
export const signIn = shown('caller.sign-in', ({ person, until }, { paint, now }) => [
  `${paint.good('✔')} signed in as ${escapeText(person)} on this terminal until ${when(until, now)} (commands typed here; not what they start)`,
]);

export const signOut = shown('caller.sign-out', ({ ended }, { paint }) => [
  ended === 0 ? 'Nobody was signed in on this terminal.' : `${paint.good('✔')} signed out`,
]);
