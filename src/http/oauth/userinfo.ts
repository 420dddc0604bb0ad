import { PATHS } from '../server/paths.ts';
import { operation } from '../server/table.ts';
import { callProvider } from './provider/call-provider.ts';

/** GET /oauth2/userinfo (OpenID Connect Core 1.0 section 5.3): who the human behind an access token is. */
export const userinfo = operation({
  caller: 'anyone',
  summary: 'Who the human behind a token is (OpenID Connect)',
  cors: true,
  async handle(call) {
    const { status, headers, body } = await callProvider(call, { method: 'GET', path: PATHS.userinfo });
    const challenge = headers['WWW-Authenticate'];
    return {
      status,
      ...(challenge !== undefined && { headers: { 'WWW-Authenticate': challenge } }),
      text: body,
      type: 'application/json; charset=utf-8',
    };
  },
});
