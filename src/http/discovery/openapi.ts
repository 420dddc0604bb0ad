import { z } from 'zod';
import type { Config } from '../../config/load.ts';
import type { Audience } from '../../domain/audiences/audience.ts';
import { agentAuthProtocol } from '../dialects/agent-auth-protocol.ts';
import { AUTH_MD_ERRORS } from '../dialects/auth-md.ts';
import type { Dialect } from '../dialects/dialect.ts';
import { OAUTH_ERRORS_BY_KIND, oauth, oauthRegistration } from '../dialects/oauth.ts';
import { securityEvents } from '../dialects/security-events.ts';
import { TINYSEND_ERRORS_BY_KIND, tinysend } from '../dialects/tinysend.ts';
import { isTokenBody, mediaTypes } from '../server/body.ts';
import type { Route } from '../server/table.ts';

/**
 * Creates the OpenAPI 3.1 document of all routes that declare a body or an answer, from the schemas that validate the
 * requests.
 *
 * @returns a function that renders the document with the audiences at which keys work
 */
export function createOpenApi(
  config: Config,
  routes: readonly Route[],
): (audiences: readonly Audience[]) => object {
  const paths: Record<string, Record<string, object>> = {};
  for (const row of routes) {
    if (row.body === undefined && row.answer === undefined) continue;
    const path = row.path.replace(/:(\w+)/g, '{$1}');
    paths[path] ??= {};
    paths[path][row.method.toLowerCase()] = describeOperation(row);
  }
  return (audiences) => ({
    openapi: '3.1.0',
    info: {
      title: config.service.name,
      version: '1',
      description: `How to use it: ${config.publicUrl}/auth.md (step by step, with curl). APIs that accept the keys: ${audiences
        .map(({ url, name }) => `${url} (${name})`)
        .join(', ')}.`,
    },
    servers: [{ url: config.publicUrl }],
    paths,
    components: {
      schemas: {
        Failure: TINYSEND_FAILURE,
        OAuthFailure: OAUTH_FAILURE,
        AuthMdFailure: AUTH_MD_FAILURE,
        AgentProtocolFailure: AGENT_PROTOCOL_FAILURE,
        SecurityEventFailure: SECURITY_EVENT_FAILURE,
      },
      securitySchemes: {
        key: { type: 'http', scheme: 'bearer', description: 'A key, such as sk_…' },
        signed: {
          type: 'http',
          scheme: 'bearer',
          description: 'A token that its host, agent or session key signed',
        },
        resourceServer: { type: 'http', scheme: 'basic', description: 'client_id and client_secret' },
      },
    },
  });
}

function describeOperation(row: Route): object {
  const parameters: object[] = [...row.path.matchAll(/:(\w+)/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }));
  if (row.repeatable) parameters.push(IDEMPOTENCY_KEY);
  return {
    summary: row.summary,
    operationId: `${row.method} ${row.path}`.toLowerCase().replace(/[^a-z]+/g, '_'),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...security(row),
    ...(row.body === undefined
      ? {}
      : {
          requestBody: {
            required: true,
            content: Object.fromEntries(
              mediaTypes(row.body.media).map((type) => [type, { schema: bodySchema(row) }]),
            ),
          },
        }),
    responses: {
      // RFC 8935 section 2.2
      [row.dialect === securityEvents ? 202 : 200]: {
        description: 'Done',
        ...(row.answer === undefined
          ? {}
          : { content: { 'application/json': { schema: answerSchema(row, row.answer) } } }),
      },
      default: {
        description: 'Refused; the code says why',
        content: { 'application/json': { schema: anyOf([row, ...row.versions].map(failureSchema)) } },
      },
    },
  };
}

const IDEMPOTENCY_KEY = {
  name: 'Idempotency-Key',
  in: 'header',
  description: 'The same key and body give the same answer again',
  schema: { type: 'string', minLength: 1, maxLength: 255 },
};

function security(row: Route): object {
  switch (row.caller) {
    case 'agent':
      return { security: [{ key: [] }] };
    case 'agentIfAny':
      return { security: [{}, { key: [] }] };
    case 'resourceServer':
      // `{}` because a form may carry client_id and client_secret itself (RFC 6749 section 2.3.1).
      return { security: row.body === undefined ? [{ resourceServer: [] }] : [{ resourceServer: [] }, {}] };
    case 'agentHost':
    case 'hostOrNewHost':
    case 'hostedAgent':
    case 'executingAgent':
    case 'sessionKey':
      return { security: [{ signed: [] }] };
    case 'hostOrAgentIfAny':
      return { security: [{}, { signed: [] }] };
    case 'anyone':
    case 'browser':
    case 'operator':
    case 'recentlyVerifiedOperator':
    case 'recentlyVerifiedUser':
    case 'signedInUser':
      return { security: [] };
  }
}

function bodySchema(row: Route): object {
  if (isTokenBody(row.body!.media)) return { type: 'string', description: 'The signed token itself' };
  const schemas = [row.body!.schema, ...row.versions.map(({ schema }) => schema)];
  return anyOf(schemas.map((schema) => toSchema(schema, 'input')));
}

function answerSchema(row: Route, answer: z.ZodType): object {
  const others = row.versions.flatMap((each) =>
    each.answer === undefined ? [] : toSchema(each.answer, 'output'),
  );
  return anyOf([successSchema(row.dialect, answer), ...others]);
}

function successSchema(dialect: Dialect, answer: z.ZodType): object {
  const data = toSchema(answer, 'output');
  if (dialect !== tinysend) return data;
  return { type: 'object', required: ['ok', 'data'], properties: { ok: { const: true }, data } };
}

function failureSchema({ dialect }: { dialect: Dialect }): object {
  const name =
    dialect === tinysend
      ? 'Failure'
      : dialect === oauth || dialect === oauthRegistration
        ? 'OAuthFailure'
        : dialect === securityEvents
          ? 'SecurityEventFailure'
          : dialect === agentAuthProtocol
            ? 'AgentProtocolFailure'
            : 'AuthMdFailure';
  return { $ref: `#/components/schemas/${name}` };
}

/** Joins schemas by `anyOf`, not `oneOf`: one body can match the schemas of two versions. */
function anyOf(schemas: readonly object[]): object {
  const distinct = [...new Map(schemas.map((schema) => [JSON.stringify(schema), schema])).values()];
  return distinct.length === 1 ? distinct[0]! : { anyOf: distinct };
}

/** The schemas of all services of this process, of bodies and of answers: translating them takes long. */
const translated = { input: new WeakMap<z.ZodType, object>(), output: new WeakMap<z.ZodType, object>() };

function toSchema(schema: z.ZodType, io: 'input' | 'output'): object {
  let json = translated[io].get(schema);
  if (json === undefined) {
    const { $schema: _, ...rest } = z.toJSONSchema(schema, { target: 'draft-2020-12', io });
    json = rest;
    translated[io].set(schema, json);
  }
  return json;
}

const codes = (table: Record<string, { code: string }>) => [
  ...new Set(Object.values(table).map(({ code }) => code)),
];

const TINYSEND_FAILURE = {
  type: 'object',
  required: ['ok', 'error'],
  properties: {
    ok: { const: false },
    error: {
      type: 'object',
      required: ['code', 'message', 'retryable', 'request_id'],
      properties: {
        code: { enum: codes(TINYSEND_ERRORS_BY_KIND) },
        message: { type: 'string', description: 'What went wrong and what to do next' },
        retryable: { type: 'boolean', description: 'Whether the same request may succeed later' },
        request_id: { type: 'string' },
        field: { type: 'string', description: 'The member that is wrong' },
        attempts_remaining: { type: 'integer', description: 'Guesses left on the code' },
        verification_uri: { type: 'string', description: 'The page on which your human goes on' },
      },
    },
  },
};

const OAUTH_FAILURE = {
  type: 'object',
  required: ['error'],
  properties: {
    error: { enum: codes(OAUTH_ERRORS_BY_KIND) },
    error_description: { type: 'string' },
    error_uri: { type: 'string', description: 'The page on which the human goes on' },
  },
};

const AUTH_MD_FAILURE = {
  type: 'object',
  required: ['error', 'code', 'message', 'error_description'],
  properties: {
    error: { enum: AUTH_MD_ERRORS },
    code: { type: 'string', description: 'The name that production has for it' },
    message: { type: 'string', description: 'What went wrong and what to do next' },
    error_description: { type: 'string' },
    request_id: { type: 'string' },
    field: { type: 'string', description: 'The member that is wrong' },
    verification_uri: { type: 'string', description: 'The page on which your human goes on' },
    max_age: { type: 'integer', description: 'Seconds: how old a login at the provider may be' },
    retry_after: { type: 'integer', description: 'Seconds until it is worth asking again' },
    attempts_remaining: { type: 'integer', description: 'Guesses left on the code' },
  },
};

const SECURITY_EVENT_FAILURE = {
  type: 'object',
  required: ['err', 'description'],
  properties: { err: { type: 'string' }, description: { type: 'string' } },
};

const AGENT_PROTOCOL_FAILURE = {
  type: 'object',
  required: ['error', 'message'],
  properties: {
    error: { type: 'string' },
    message: { type: 'string', description: 'What went wrong and what to do next' },
    request_id: { type: 'string' },
    field: { type: 'string', description: 'The member that is wrong' },
    retry_after: { type: 'integer', description: 'Seconds until it is worth asking again' },
    invalid_capabilities: { type: 'array', items: { type: 'string' } },
    unknown_operators: { type: 'array', items: { type: 'string' } },
    violations: {
      type: 'array',
      items: {
        type: 'object',
        required: ['field', 'constraint', 'actual'],
        properties: { field: { type: 'string' }, constraint: {}, actual: {} },
      },
    },
  },
};
