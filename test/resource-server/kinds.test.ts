import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { systemRandom } from '../../src/lib/random.ts';
import { newSecret, SECRET_PREFIXES } from '../../src/lib/secrets.ts';
import { createPolicy, createVerifier } from '../../src/resource-server/index.ts';
import { CREDENTIAL_FORMS, CREDENTIAL_KINDS } from '../../src/resource-server/token.ts';
import { addServer } from '../helpers/api-keys.ts';
import { startWith } from '../helpers/configured-service.ts';
import { basic } from '../helpers/service.ts';
import { test } from '../helpers/suite.ts';

/** Whose a credential is, told by a service of another version than this kit, older or newer (O-17). */

const RESOURCE = 'https://api.example.com';

test.describe('the kit', (test) => {
  let service: Server;
  let issuer: string;
  let told: Record<string, unknown> = {};
  let version: unknown;
  let policyAsked = 0;
  test.before(async () => {
    service = createServer((request, response) => {
      if (request.url === '/resource/policy') policyAsked += 1;
      const introspected = {
        active: true,
        sub: 'usr_1',
        client_id: 'cli_1',
        scope: 'read',
        aud: RESOURCE,
        jti: 'tok_1',
        exp: Math.floor(Date.now() / 1000) + 300,
        ...told,
      };
      const body = request.url === '/resource/policy' ? { version } : introspected;
      response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
    });
    await new Promise<void>((resolve) => service.listen(0, '127.0.0.1', resolve));
    issuer = `http://127.0.0.1:${(service.address() as AddressInfo).port}`;
  });
  test.after(() => {
    service.closeAllConnections();
    service.close();
  });

  const newVerifier = () =>
    createVerifier({ issuer, resource: RESOURCE, clientId: 'rs_1', clientSecret: 'x', follow: false });
  const verify = (verifier = newVerifier()) => verifier.verify(newSecret('at', systemRandom));

  test('takes each kind and form to the letter', async (t) => {
    t.deepEqual([...CREDENTIAL_KINDS], ['anonymous', 'claimed', 'personal', 'app', 'app_key', 'delegated']);
    for (const kind of CREDENTIAL_KINDS) {
      for (const form of CREDENTIAL_FORMS) {
        told = { credential_kind: kind, credential_form: form, agent_id: 'agt_1' };
        t.like(await verify(), { kind, form });
      }
    }
    t.is(policyAsked, 0);
  });

  test('asks about every credential that a service of a later version issues, and about no other secret', async (t) => {
    told = { credential_kind: 'app_key', credential_form: 'key' };
    const known = ['sk', 'at', 'ak', 'dg'];
    for (const prefix of SECRET_PREFIXES) {
      const verified = newVerifier().verify(newSecret(prefix, systemRandom));
      if (known.includes(prefix)) t.is((await verified).kind, 'app_key', prefix);
      else await t.throwsAsync(verified, { code: 'invalid_token' }, prefix);
    }
  });

  test('refuses any other', async (t) => {
    for (const wrong of ['', 'App', 'robot', 1, null, ['app'], {}]) {
      told = { credential_kind: wrong, credential_form: 'token' };
      await t.throwsAsync(verify(), { code: 'invalid_token' }, String(wrong));
      told = { credential_kind: 'app', credential_form: wrong };
      await t.throwsAsync(verify(), { code: 'invalid_token' }, String(wrong));
    }
  });

  test('refuses a missing one from a service of version 2 or later, which always says them', async (t) => {
    for (version of [2, 3]) {
      for (told of [{}, { credential_kind: 'app' }, { credential_form: 'token' }])
        await t.throwsAsync(verify(), { code: 'invalid_token' });
    }
  });

  test('goes by owner and agent where an older service says none, and asks it once a minute for its version', async (t) => {
    told = { agent_id: 'agt_1', owner: 'usr_1' };
    for (version of [undefined, 1]) {
      const verifier = newVerifier();
      const before = policyAsked;
      for (let i = 0; i < 3; i += 1) {
        const token = await verify(verifier);
        t.is(token.kind, undefined);
        t.is(token.agentId, 'agt_1');
      }
      t.is(policyAsked, before + 1);
    }
  });

  test('decides by form as by kind, and a form that nobody told reaches what both reach', async (t) => {
    const policy = createPolicy({
      scopes: { read: {} },
      tools: { look: 'read', pay: 'read' },
      kinds: { app: ['look', 'pay'] },
      forms: { key: ['look'] },
    });
    const token = { subject: 'usr_1', agentId: undefined, scopes: ['read'], kind: 'app' } as const;
    const reason = async (form: 'key' | 'token' | undefined, tool: string) => {
      const verdict = await policy.decide({ ...token, ...(form && { form }) }, tool);
      return verdict.allowed ? 'allowed' : verdict.reason;
    };
    t.is(await reason('token', 'pay'), 'allowed');
    t.is(await reason('key', 'pay'), 'oauth_only');
    t.is(await reason(undefined, 'pay'), 'oauth_only');
    for (const form of ['key', 'token', undefined] as const) t.is(await reason(form, 'look'), 'allowed');
  });

  test('lets keys of apps reach what is listed for them, where all other keys are refused', async (t) => {
    const token = {
      subject: 'wsp_1',
      agentId: undefined,
      scopes: ['read'],
      kind: 'app_key',
      form: 'key',
    } as const;
    const tools = { list: 'read', test: 'read', delete: 'read' };
    for (const [kinds, allowed] of [
      [{ app_key: ['list', 'test'] }, ['list', 'test']],
      [{}, []],
    ] as const) {
      const policy = createPolicy({ scopes: { read: {} }, tools, kinds, forms: { key: [] } });
      const verdicts = await Promise.all(Object.keys(tools).map((tool) => policy.decide(token, tool)));
      t.deepEqual(
        Object.keys(tools).filter((_, at) => verdicts[at]!.allowed),
        [...allowed],
      );
      const refused = verdicts.filter((verdict) => !verdict.allowed).map(({ reason }) => reason);
      t.deepEqual(new Set(refused), new Set(['oauth_only']));
    }
  });
});

test('this service is of version 2 and hands out what reaches which tool, by kind and by form', async (t) => {
  const policy = { tools: { look: 'read' }, kinds: { app: ['look'] }, forms: { key: ['look'], token: [] } };
  const on = await startWith({ policy });
  t.teardown(() => on.stop());
  const { id, secret } = await addServer(on, RESOURCE);
  const { body } = await on.request('GET', '/resource/policy', { headers: basic(id, secret) });
  t.like(body, { version: 2, ...policy });
});
