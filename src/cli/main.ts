// What is answered without reading the table of operations is answered first: starting is what a command line does most.

import { VERSION } from './version.ts';

async function main(words: readonly string[]): Promise<void> {
  if (words.length === 1 && (words[0] === '--version' || words[0] === '-V')) {
    process.stdout.write(`bulkhead ${VERSION}\n`);
    return;
  }
  if (words[0] === 'daemon' && words.length === 1) {
    const { runDaemon } = await import('./daemon.ts');
    runDaemon();
    return;
  }
  const { run } = await import('./run.ts');
  await run(words);
}

void main(process.argv.slice(2));
