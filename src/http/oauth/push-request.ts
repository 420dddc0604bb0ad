import { z } from 'zod';
import { Failure } from '../../errors.ts';
import { PATHS } from '../server/paths.ts';
import { operation, urlencoded } from '../server/table.ts';
import { completeRequest, findRequestFault, nameStepUp } from './authorization-request.ts';
import { callProvider } from './provider/call-provider.ts';

const pushBody = z.object({
  client_id: z.string().max(2048).optional(),
  response_type: z.string().describe('code').optional(),
  redirect_uri: z.string().optional(),
  code_challenge: z.string().optional(),
  code_challenge_method: z.string().describe('S256').optional(),
  scope: z.string().optional(),
  state: z.string().optional(),
  resource: z.string().describe('The URL of the API (RFC 8707); without it the default one').optional(),
  authorization_details: z.string().describe('JSON: the places that are asked for (RFC 9396)').optional(),
});

const pushAnswer = z.object({
  request_uri: z.string().describe('For the authorization endpoint, once'),
  expires_in: z.int(),
});

/** POST /oauth2/par (RFC 9126): takes an authorization request from an app, which sends the human with its name alone. */
export const pushRequest = operation({
  caller: 'anyone',
  summary: 'Push an authorization request (RFC 9126)',
  cors: true,
  body: urlencoded(pushBody),
  answer: pushAnswer,
  async handle(call) {
    const { deps, bytes, header } = call;
    const sent = new URLSearchParams(Buffer.from(bytes).toString('utf8'));
    const fault = findRequestFault(sent);
    if (fault !== undefined) throw new Failure('badRequest', `${fault.error_description}.`);
    const { params, audience } = await completeRequest(deps, sent);
    const form = nameStepUp(params);
    const name = clientOfBasic(header('authorization'));
    if (!form.has('client_id') && name !== undefined) form.set('client_id', name);
    const body = { type: 'application/x-www-form-urlencoded', bytes: Buffer.from(form.toString()) };
    const answer = await callProvider(call, { method: 'POST', path: PATHS.pushRequest, body, audience });
    const challenge = answer.headers['WWW-Authenticate'];
    return {
      status: answer.status,
      ...(challenge !== undefined && { headers: { 'WWW-Authenticate': challenge } }),
      text: answer.body,
      type: 'application/json; charset=utf-8',
    };
  },
});

/** Returns the client of HTTP Basic (RFC 6749 section 2.3.1): who sends it need not repeat it in the body. */
function clientOfBasic(authorization: string | undefined): string | undefined {
  const [, credentials] = /^Basic ([\w+/=-]+)$/i.exec(authorization ?? '') ?? [];
  if (credentials === undefined) return undefined;
  const [id = ''] = Buffer.from(credentials, 'base64').toString('utf8').split(':');
  try {
    return decodeURIComponent(id.replaceAll('+', ' '));
  } catch {
    return undefined;
  }
}
