import type { Handlers } from '../handler.ts';
import * as app from './app.ts';
import * as audit from './audit.ts';
import * as caller from './caller.ts';
import * as cell from './cell.ts';
import * as config from './config.ts';
import * as fork from './fork.ts';
import * as machine from './machine.ts';
import * as point from './point.ts';
import * as session from './session.ts';
import * as trash from './trash.ts';

/** Who does what. An operation without a handler does not compile. */
export const HANDLERS: Handlers = {
  'machine.init': machine.init,
  'machine.confirm': machine.confirm,
  'machine.doctor': machine.doctor,
  'machine.status': machine.status,
  'app.create': app.create,
  'app.list': app.list,
  'volume.remove': app.remove,
  'fork.create': fork.create,
  'fork.reset': fork.reset,
  'fork.extend': fork.extend,
  'trash.list': trash.list,
  'trash.restore': trash.restore,
  'trash.purge': trash.purge,
  'cell.up': cell.up,
  'cell.down': cell.down,
  'cell.restart': cell.restart,
  'cell.processes': cell.processes,
  'cell.logs': cell.logs,
  'session.exec': session.exec,
  'session.attach': session.attach,
  'point.list': point.list,
  'config.show': config.show,
  'config.diff': config.diff,
  'config.accept': config.accept,
  'caller.show': caller.show,
  'caller.sign-in': caller.signIn,
  'caller.sign-out': caller.signOut,
  'policy.show': caller.policy,
  'audit.log': audit.log,
  'audit.tail': audit.tail,
  'audit.verify': audit.verify,
};
