import type { ExecutionContext } from 'ava';
import { createRoutes } from '../../src/app.ts';
import type { Reply, TestService } from './service.ts';
import { type BodyRow, bodyRows } from './valid-bodies.ts';
import { assertRefused, codeOf, type DialectName, send } from './wire.ts';

/** How each dialect refuses bad input. */

export const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND'];

type Fault = 'media' | 'encoding' | 'size' | 'method' | 'json';

const OWN: Record<Fault, string> = {
  media: '415 unsupported_media_type',
  encoding: '415 unsupported_media_type',
  size: '413 payload_too_large',
  method: '405 method_not_allowed',
  json: '400 invalid_json',
};

const FLAT = { ...OWN, json: '400 invalid_request' };

/** How dialects spell what goes wrong before a body is understood. */
const SPELT: Record<DialectName, Record<Fault, string>> = {
  tinysend: OWN,
  page: OWN,
  'auth.md': FLAT,
  'auth.md production': FLAT,
  oauth: {
    media: '400 invalid_request',
    encoding: '415 invalid_request',
    size: '413 invalid_request',
    method: '405 invalid_request',
    json: '400 invalid_request',
  },
  'agent protocol': {
    media: '415 invalid_request',
    encoding: '415 invalid_request',
    size: '413 invalid_request',
    method: '405 invalid_request',
    json: '400 invalid_request',
  },
  'security events': {
    media: '400 invalid_request',
    encoding: '400 invalid_request',
    size: '400 invalid_request',
    method: '405 invalid_request',
    json: '400 invalid_request',
  },
};

/** The routes of a service: those that are no open documents, those that take a body, and one of these for each path and media type. */
export function routesOf(on: TestService) {
  const routes = createRoutes(on.service.deps, {
    devMailbox: undefined,
    follow: async () => () => {},
  }).flat();
  const rows = bodyRows(routes);
  const carriers = [...Map.groupBy(rows, ({ path, type }) => `${path} ${type}`).values()].map(
    ([first]) => first!,
  );
  return { routes, closed: routes.filter((row) => !row.open), rows, carriers };
}

/** What is asserted of bad input, and how it is sent. @param service that is asked */
export function badInputOf(service: () => TestService) {
  const refused = (
    t: ExecutionContext,
    reply: Reply,
    dialect: string,
    status: number,
    code: string,
    about: string,
  ) => assertRefused(t, service(), reply, dialect as DialectName, status, code, about);
  /** Refused before the body was understood. */
  const refusedFor = (
    t: ExecutionContext,
    reply: Reply,
    fault: Fault,
    row: Pick<BodyRow, 'before' | 'line'>,
    about = '',
  ) => {
    const [status, code] = SPELT[row.before][fault].split(' ') as [string, string];
    refused(t, reply, row.before, Number(status), code, `${row.line} ${about}`);
  };
  const badRequest = (t: ExecutionContext, reply: Reply, dialect: DialectName, about: string) =>
    refused(t, reply, dialect, 400, 'invalid_request', about);
  /** What becomes of a body that is as it should be. */
  const assertPlain = (t: ExecutionContext, row: BodyRow, reply: Reply, about = '') => {
    const code = reply.status < 400 ? '' : codeOf(reply, row.dialect);
    t.is(`${reply.status} ${code}`.trim(), row.plain, `${row.line} ${about}: ${reply.text}`);
  };
  const post = (row: BodyRow, body: string | Uint8Array, type: string = row.type) =>
    send(service(), row.method, row.path, [['Content-Type', type]], body);
  return { refused, refusedFor, badRequest, assertPlain, post };
}
