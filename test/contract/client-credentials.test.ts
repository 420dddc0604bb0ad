import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { newSecret } from '../../src/lib/secrets.ts';
import { createVerifier } from '../../src/resource-server/index.ts';
import { type Api, addApi } from '../helpers/api.ts';
import { type Reply, startTestService, type TestService } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';

/** HTTP Basic as OAuth clients send it: id and secret form-encoded, then joined by a colon (RFC 6749 section 2.3.1). */

const encoded = (text: string) => [...text].map((letter) => `%${letter.charCodeAt(0).toString(16)}`).join('');

onEveryEngine('the credentials of a resource server', (engine, test) => {
  let on: TestService;
  let api: Api;
  test.before(async () => {
    on = await startTestService(engine);
    api = await addApi(on);
  });
  test.after(() => on.stop());

  const ask = (pair: string, more: Record<string, string> = {}): Promise<Reply> =>
    on.form('/oauth2/introspect', { token: 'sk_x', ...more }, { Authorization: `Basic ${btoa(pair)}` });

  test('are taken in every encoding of the same two texts', async (t) => {
    const { clientId: id, clientSecret: secret } = api;
    for (const pair of [
      `${id}:${secret}`,
      `${id.replaceAll('_', '%5F')}:${secret.replaceAll('_', '%5F')}`, // oauth4webapi, openid-client
      `${id.replaceAll('_', '%5f')}:${secret}`,
      `${encoded(id)}:${encoded(secret)}`,
    ]) {
      t.is((await ask(pair)).status, 200, pair);
      t.is((await ask(pair, { client_id: id })).status, 200, pair);
      for (const path of ['/resource/policy', '/resource/events']) {
        const { status } = await on.request('GET', path, {
          headers: { Authorization: `Basic ${btoa(pair)}` },
        });
        t.is(status, 200, path);
      }
    }
  });

  test('are refused in one way where they are wrong, whatever is encoded', async (t) => {
    const { clientId: id, clientSecret: secret } = api;
    for (const pair of [
      `${id}:${encoded(`${secret}x`)}`,
      `${encoded(encoded(id))}:${secret}`,
      `${id}%00:${secret}`,
      `%:${secret}`,
      `${id}:%zz`,
      `${id}:`,
      `:${secret}`,
      `${id}%3A${secret}`,
      'no colon',
    ]) {
      const { status, body } = await ask(pair);
      t.deepEqual([status, body.error], [401, 'invalid_client'], pair);
    }
  });

  test('are sent encoded by the kit, so that no letter in them is taken for another', async (t) => {
    let sent = '';
    const server = createServer((request, response) => {
      sent = request.headers.authorization ?? '';
      response.writeHead(200, { 'Content-Type': 'application/json' }).end('{"active":false}');
    });
    await new Promise<void>((resolve) => server.listen(0, () => resolve()));
    const issuer = `http://localhost:${(server.address() as AddressInfo).port}`;
    const own = { clientId: 'a:b c', clientSecret: '100%+ü', resource: 'https://api.example.com' };
    const verifier = createVerifier({ issuer, ...own, follow: false });
    await t.throwsAsync(verifier.verify(newSecret('sk', (count) => Buffer.alloc(count, 7))));
    server.close();
    t.is(atob(sent.slice('Basic '.length)), 'a%3Ab+c:100%25%2B%C3%BC');
  });
});
