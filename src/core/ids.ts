/** A UUID in lower case. Everything that is kept has one; names are for people. */
export type Id = string & { readonly __brand: 'Id' };

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** The id in a text that came from outside; undefined when it is none. */
export function parseId(text: string): Id | undefined {
  return UUID.test(text) ? (text as Id) : undefined;
}
