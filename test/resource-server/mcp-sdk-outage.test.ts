import { randomBytes } from 'node:crypto';
import {
  InvalidTokenError,
  ServerError,
  TemporarilyUnavailableError,
  TooManyRequestsError,
} from '@modelcontextprotocol/sdk/server/auth/errors.js';
import { requireBearerAuth as requireV1 } from '@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js';
import { OAuthError, OAuthErrorCode, requireBearerAuth as requireV2 } from '@modelcontextprotocol/server';
import express from 'express';
import { newSecret } from '../../src/lib/secrets.ts';
import { createVerifier } from '../../src/resource-server/index.ts';
import { type SdkErrors, tokenVerifier } from '../../src/resource-server/mcp.ts';
import { test } from '../helpers/suite.ts';

/** Behind the official MCP SDKs: an outage of Vouchsafe must never look like the client's mistake. */

// Well-formed, so that it is asked about; where it is asked nobody answers.
const KEY = newSecret('sk', randomBytes);
const away = createVerifier({
  issuer: 'http://localhost:1',
  resource: 'https://mcp.example.com/mcp',
  clientId: 'rs_1',
  clientSecret: 'rss_1',
  follow: false,
});

/** What people hand over as the error of an outage: the right one, those with fitting names, and none of the SDK's. */
const V1: Record<string, SdkErrors['unavailable']> = {
  ServerError: (message) => new ServerError(message),
  TemporarilyUnavailableError: (message) => new TemporarilyUnavailableError(message),
  TooManyRequestsError: (message) => new TooManyRequestsError(message),
  InvalidTokenError: (message) => new InvalidTokenError(message),
  Error: (message) => new Error(message),
};
const V2: Record<string, SdkErrors['unavailable']> = {
  ServerError: (message) => new OAuthError(OAuthErrorCode.ServerError, message),
  TemporarilyUnavailable: (message) => new OAuthError(OAuthErrorCode.TemporarilyUnavailable, message),
  TooManyRequests: (message) => new OAuthError(OAuthErrorCode.TooManyRequests, message),
  InvalidToken: (message) => new OAuthError(OAuthErrorCode.InvalidToken, message),
  Error: (message) => new Error(message),
};

test.describe('an MCP server on the official SDKs while Vouchsafe is away', (test) => {
  for (const [name, unavailable] of Object.entries(V1)) {
    test(`version 1 answers 500 where an outage is made a ${name}`, async (t) => {
      const app = express();
      const invalidToken = (message: string) => new InvalidTokenError(message);
      app.use(requireV1({ verifier: tokenVerifier(away, { invalidToken, unavailable }) }));
      const server = app.listen(0);
      t.teardown(() => server.close());
      const { port } = server.address() as { port: number };
      const headers = { Authorization: `Bearer ${KEY}`, Connection: 'close' };
      const reply = await fetch(`http://localhost:${port}/`, { headers });
      t.is(reply.status, 500);
      t.is(((await reply.json()) as { error: string }).error, 'server_error');
    });
  }

  for (const [name, unavailable] of Object.entries(V2)) {
    test(`version 2 answers 500 where an outage is made a ${name}`, async (t) => {
      const invalidToken = (message: string) => new OAuthError(OAuthErrorCode.InvalidToken, message);
      const gate = requireV2({ verifier: tokenVerifier(away, { invalidToken, unavailable }) });
      const reply = await gate(
        new Request('https://mcp.example.com/mcp', { headers: { Authorization: `Bearer ${KEY}` } }),
      );
      if (!(reply instanceof Response)) return t.fail('nobody was let in');
      t.is(reply.status, 500);
      t.is(((await reply.json()) as { error: string }).error, 'server_error');
    });
  }
});
