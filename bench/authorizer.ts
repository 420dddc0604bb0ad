import { createHash, randomBytes } from 'node:crypto';
import { openBrowser } from '../test/helpers/browser.ts';
import { openFiller } from './filler.ts';
import { putPerson } from './lists-rows.ts';

/** People who let an app connect, by their browsers: the authorization code flow with PKCE, with one public client. */

const REDIRECT = 'https://app.example/callback';
const FEW = { agents: 1, keys: 1, sessions: 1, events: 1, hosts: 0, isLinked: false };

/** Puts people into a migrated database. @returns the secret of a session of each */
export async function putPeople(url: string, count: number): Promise<string[]> {
  const filler = await openFiller(url);
  const sessions: string[] = [];
  while (sessions.length < count) {
    const name = `person${sessions.length}`;
    sessions.push((await putPerson(filler.put, filler.flush, Date.now(), name, FEW)).secret);
  }
  await filler.close();
  return sessions;
}

/**
 * Registers an app, and lets people approve it on its page; what they do later is remembered.
 *
 * @param url of the service
 * @param sessions of people
 * @returns for each person a function that asks for a code, and returns the body of the request that exchanges it
 */
export async function openAuthorizers(url: string, sessions: string[]): Promise<(() => Promise<string>)[]> {
  const registered = await fetch(`${url}/oauth2/register`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({
      client_name: 'bench',
      redirect_uris: [REDIRECT],
      token_endpoint_auth_method: 'none',
    }),
  });
  const { client_id } = (await registered.json()) as { client_id: string };
  const verifier = randomBytes(32).toString('base64url');
  const query = new URLSearchParams({
    response_type: 'code',
    client_id,
    redirect_uri: REDIRECT,
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
    scope: 'read',
    state: 'st',
  });
  return sessions.map((secret) => {
    const browser = openBrowser({ url });
    browser.cookies.set('vouchsafe_session', secret);
    return async () => {
      let page = await browser.get(`/oauth2/authorize?${query}`);
      if (page.path.startsWith('/authorize/'))
        page = await browser.post(page.path, { 'scope:read': 'on', decision: 'approve' });
      const code = URL.parse(page.path)?.searchParams.get('code');
      if (!code) throw new Error(`no code: ${page.status} ${page.path} ${page.text.slice(0, 200)}`);
      browser.setCookies.length = 0;
      const body = { grant_type: 'authorization_code', code, redirect_uri: REDIRECT, client_id };
      return new URLSearchParams({ ...body, code_verifier: verifier }).toString();
    };
  });
}
