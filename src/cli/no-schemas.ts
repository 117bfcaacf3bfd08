/**
 * Stands in for zod in the bundle of the command line (scripts/build.ts), which checks
 * nothing that the daemon checks: making the schemas of all operations took 10 ms of
 * every start. The declarations keep their words, flags and examples.
 */
interface Nothing {
  check(): Nothing;
}

const nothing: Nothing = { check: () => nothing };
const none = (): Nothing => nothing;

export {
  none as array,
  none as boolean,
  none as enum,
  none as int,
  none as literal,
  none as maxLength,
  none as minimum,
  none as nullable,
  none as number,
  none as object,
  none as optional,
  none as strictObject,
  none as string,
  none as unknown,
};
