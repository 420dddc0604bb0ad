import { z } from 'zod';
import { Failure } from '../../errors.ts';
import { hashSecret } from '../../lib/secrets.ts';
import { PATHS } from '../server/paths.ts';
import { type Call, type HandlerResult, json, operation } from '../server/table.ts';
import { callProvider, type ProviderRequest, type ProviderResponse } from './provider/call-provider.ts';
import { type ClientMetadata, isFault, normalizeClientMetadata } from './provider/client-metadata.ts';
import { isHashedSecret, toHashedSecret } from './provider/client-secret.ts';

/** Dynamic client registration (RFC 7591), and its management by the client (RFC 7592). */

/** Of what is kept; members that nobody here understands do not count. */
const BYTES_MAX = 4096;

const metadataBody = z.record(z.string(), z.unknown());

/** POST /oauth2/register: registers a client, which may ask humans for their consent. */
export const registerClient = operation({
  caller: 'anyone',
  summary: 'Register an OAuth client (RFC 7591)',
  cors: true,
  body: json(metadataBody),
  handle: (call) => saveMetadata(call, { method: 'POST', path: PATHS.registerClient }, {}),
});

/** GET /oauth2/register/:client_id: what is registered. */
export const readClient = operation({
  caller: 'anyone',
  summary: 'Read the registration of a client (RFC 7592)',
  cors: true,
  handle: async (call) => render(await callProvider(call, { method: 'GET', path: pathOf(call) })),
});

/** PUT /oauth2/register/:client_id: replaces what is registered. */
export const updateClient = operation({
  caller: 'anyone',
  summary: 'Replace the registration of a client (RFC 7592)',
  cors: true,
  body: json(metadataBody),
  handle(call) {
    const { client_id, client_secret } = call.body;
    const secret =
      typeof client_secret === 'string' ? { client_secret: toHashedSecret(hashSecret(client_secret)) } : {};
    return saveMetadata(call, { method: 'PUT', path: pathOf(call) }, { client_id, ...secret });
  },
});

/** DELETE /oauth2/register/:client_id: ends the client and all consents to it. */
export const deleteClient = operation({
  caller: 'anyone',
  summary: 'End a client (RFC 7592)',
  cors: true,
  handle: async (call) => render(await callProvider(call, { method: 'DELETE', path: pathOf(call) })),
});

function pathOf({ params }: Pick<Call<unknown, 'anyone'>, 'params'>): string {
  return `${PATHS.registerClient}/${params.client_id}`;
}

async function saveMetadata(
  call: Call<ClientMetadata, 'anyone'>,
  request: Pick<ProviderRequest, 'method' | 'path'>,
  more: ClientMetadata,
): Promise<HandlerResult> {
  const metadata = normalizeClientMetadata(call.deps.config, call.body);
  if (isFault(metadata)) return { status: 400, data: metadata };
  const bytes = Buffer.from(JSON.stringify({ ...metadata, ...more }));
  if (bytes.length > BYTES_MAX) {
    throw new Failure('badRequest', `The metadata of a client is at most ${BYTES_MAX} bytes.`);
  }
  return render(await callProvider(call, { ...request, body: { type: 'application/json', bytes } }));
}

/** Renders a response without the hash that stands in place of a secret, which is shown once. */
function render({ status, headers, body }: ProviderResponse): HandlerResult {
  if (body === '') return { status, nothing: true };
  const { client_secret, ...data } = JSON.parse(body) as ClientMetadata;
  const isShown = typeof client_secret === 'string' && !isHashedSecret(client_secret);
  const challenge = headers['WWW-Authenticate'];
  return {
    status,
    ...(challenge !== undefined && { headers: { 'WWW-Authenticate': challenge } }),
    data: isShown ? { ...data, client_secret } : data,
  };
}
