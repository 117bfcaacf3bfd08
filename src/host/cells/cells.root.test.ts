import { makeCell } from '../../../test/builders/cell.ts';
import { cellsSuite } from '../cells.suite.ts';

cellsSuite('runc', async () => makeCell('suite'));
