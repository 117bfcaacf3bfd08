import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { makeMachine, type Machine, type Person } from '../builders/machine.ts';

let machine: Machine;
let person: Person;

before(async () => {
  machine = await makeMachine();
  person = await machine.person();
});
after(async () => {
  await person?.leave();
  await machine?.remove();
});

async function demand(line: string): Promise<string> {
  const ran = await person.bulkhead(line);
  assert.equal(ran.code, 0, `${line}: ${ran.stdout}${ran.stderr}${machine.log()}`);
  return ran.stdout;
}

test('a fork comes back to its own app, whatever that is called now, and to no other of its name', async () => {
  await demand('create shop');
  await demand('fork shop:fix');
  await demand('rm shop:fix');
  await demand(`rm shop --confirm shop --code ${await machine.code()}`);
  const alone = await person.bulkhead('trash restore shop:fix');
  assert.equal(alone.code, 6, alone.stdout);
  assert.match(alone.stderr, /there is no app "shop"/);
  await demand('trash restore shop --as first');
  await demand('create shop');
  const foreign = await person.bulkhead('trash restore shop:fix');
  assert.equal(foreign.code, 6, foreign.stdout);
  assert.match(foreign.stderr, /made from another app/);
  await demand('trash restore shop:fix --as first:fix');
  assert.match(await demand('ls first'), /first:fix/);
});
