// Writes docs/bulkhead.schema.json, the JSON Schema of bulkhead.yaml, from the schema that the daemon checks with.
// Editors that know `# yaml-language-server: $schema=…` complete and check the file with it.
import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import * as z from 'zod/mini';
import { appFile } from '../src/contract/app-file.ts';

const FILE = fileURLToPath(new URL('../docs/bulkhead.schema.json', import.meta.url));

/** The schema as the file has it. */
export function schemaText(): string {
  const schema = z.toJSONSchema(appFile, { io: 'input', unrepresentable: 'any' });
  return `${JSON.stringify({ title: 'bulkhead.yaml', ...schema }, null, 2)}\n`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await writeFile(FILE, schemaText());
