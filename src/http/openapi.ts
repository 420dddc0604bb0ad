import { z } from 'zod';
import type { Config } from '../config.ts';
import { NATIVE } from './dialects/native.ts';
import { OAUTH } from './dialects/oauth.ts';
import type { Route } from './route.ts';

const MEDIA = { json: 'application/json', form: 'application/x-www-form-urlencoded' } as const;

/** OpenAPI 3.1 of all rows that have a described body or answer, from the schemas that check the requests themselves. */
export function createOpenApi(config: Config, routes: readonly Route[]): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const row of routes) {
    if (row.body === undefined && row.answer === undefined) continue;
    const path = row.path.replace(/:(\w+)/g, '{$1}');
    paths[path] ??= {};
    paths[path][row.method.toLowerCase()] = operation(row);
  }
  return {
    openapi: '3.1.0',
    info: {
      title: config.service.name,
      version: '1',
      description: `How to use it, step by step: ${config.publicUrl}/auth.md`,
    },
    servers: [{ url: config.publicUrl }],
    paths,
    components: {
      schemas: { Failure: NATIVE_FAILURE, OAuthFailure: OAUTH_FAILURE },
      securitySchemes: {
        key: { type: 'http', scheme: 'bearer', description: 'A key: sk_…' },
        resourceServer: { type: 'http', scheme: 'basic', description: 'client_id and client_secret' },
      },
    },
  };
}

function operation(row: Route): object {
  const failure = row.dialect.name === 'oauth' ? 'OAuthFailure' : 'Failure';
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
            content: { [MEDIA[row.body.media]]: { schema: toSchema(row.body.schema, 'input') } },
          },
        }),
    responses: {
      200: {
        description: 'Done',
        ...(row.answer === undefined
          ? {}
          : { content: { 'application/json': { schema: successSchema(row, row.answer) } } }),
      },
      default: {
        description: 'Refused; the code says why',
        content: { 'application/json': { schema: { $ref: `#/components/schemas/${failure}` } } },
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
      return { security: [{ resourceServer: [] }, {}] };
    case 'anyone':
    case 'visitor':
    case 'freshHuman':
    case 'human':
      return { security: [] };
  }
}

function successSchema(row: Route, answer: z.ZodType): object {
  const data = toSchema(answer, 'output');
  if (row.dialect.name === 'oauth') return data;
  return { type: 'object', required: ['ok', 'data'], properties: { ok: { const: true }, data } };
}

function toSchema(schema: z.ZodType, io: 'input' | 'output'): object {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { target: 'draft-2020-12', io });
  return rest;
}

const codes = (table: Record<string, { code: string }>) => [
  ...new Set(Object.values(table).map(({ code }) => code)),
];

const NATIVE_FAILURE = {
  type: 'object',
  required: ['ok', 'error'],
  properties: {
    ok: { const: false },
    error: {
      type: 'object',
      required: ['code', 'message', 'retryable', 'request_id'],
      properties: {
        code: { enum: codes(NATIVE) },
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
  properties: { error: { enum: codes(OAUTH) }, error_description: { type: 'string' } },
};
