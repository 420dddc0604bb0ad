import { z } from 'zod';
import { DEVICE_POLL_SECONDS } from '../../domain/apps/device-codes.ts';
import { PATHS } from '../server/paths.ts';
import { operation, urlencoded } from '../server/table.ts';
import { completeRequest } from './authorization-request.ts';
import { callProvider } from './provider/call-provider.ts';

/** The device authorization endpoint (RFC 8628 section 3.1). */

const deviceBody = z.object({
  client_id: z.string().max(2048).optional(),
  scope: z.string().optional(),
  resource: z.string().describe('The URL of the API (RFC 8707); without it the default one').optional(),
  authorization_details: z.string().describe('JSON: the places that are asked for (RFC 9396)').optional(),
});

const deviceAnswer = z.object({
  device_code: z.string().describe('For the token endpoint'),
  user_code: z.string().describe('For the human to type'),
  verification_uri: z.string().describe('The page at which the human types it'),
  expires_in: z.int(),
  interval: z.int().describe('Seconds between two requests to the token endpoint'),
});

/** POST /oauth2/device_authorization: gives a device a code, which its human types at /connect. */
export const authorizeDevice = operation({
  caller: 'anyone',
  summary: 'Ask for a code that a human types on another device (RFC 8628)',
  cors: true,
  body: urlencoded(deviceBody),
  answer: deviceAnswer,
  async handle(call) {
    const { params, audience } = await completeRequest(
      call.deps,
      new URLSearchParams(Buffer.from(call.bytes).toString('utf8')),
    );
    const body = { type: 'application/x-www-form-urlencoded', bytes: Buffer.from(params.toString()) };
    const path = PATHS.deviceAuthorization;
    const answer = await callProvider(call, { method: 'POST', path, body, audience });
    const challenge = answer.headers['WWW-Authenticate'];
    // No URL carries the code: URLs end up in logs and histories.
    const { verification_uri_complete: _, ...data } = JSON.parse(answer.body) as Record<string, unknown>;
    return {
      status: answer.status,
      ...(challenge !== undefined && { headers: { 'WWW-Authenticate': challenge } }),
      data: answer.status === 200 ? { ...data, interval: DEVICE_POLL_SECONDS } : data,
    };
  },
});
