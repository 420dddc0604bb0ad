import { createPolicy } from '../../src/resource-server/index.ts';
import { test } from '../helpers/suite.ts';

const token = {
  subject: 'usr_ann',
  agentId: 'agt_1',
  owner: 'usr_ann',
  scopes: ['read'],
  kind: 'claimed',
  form: 'token',
  access: [{ workspace: 'wsp_1', path: 'documents/', actions: ['read'], manages: false }],
} as const;

const policy = (service?: string) =>
  createPolicy({
    scopes: { read: {}, 'doc:write': {} },
    tools: { look: 'read', change: 'doc:write' },
    ...(service !== undefined && { service }),
    resolveResource: (_, { at, path }) => {
      if (at === 'gone') throw new Error('gone');
      return {
        workspace: 'wsp_1',
        ...(at === undefined ? { path: String(path) } : { within: [String(at)] }),
      };
    },
  });

const capOf = async (tool: string, args: object, service = 'vouchsafe.api') => {
  const verdict = await policy(service === '' ? undefined : service).decide(token, tool, args as never);
  return verdict.allowed ? 'allowed' : verdict.cap;
};

test('a refusal for want of a scope says what to ask for, at the place that the call is about', async (t) => {
  t.is(await capOf('look', { path: 'documents/a' }), 'allowed');
  t.is(await capOf('look', { path: 'other/a' }), 'vouchsafe.api:wsp_1:other/a:read');
  t.is(await capOf('look', { at: 'fld_2' }), 'vouchsafe.api:wsp_1:@fld_2:read');
  t.is(await capOf('change', { path: 'documents/a' }), 'vouchsafe.api:wsp_1:documents/a:doc~write');
});

test('a refusal says nothing to ask for where that would not help, or the thing is gone', async (t) => {
  t.is(await capOf('nothing', {}), undefined);
  t.is(await capOf('look', { path: 'other/a' }, ''), undefined);
  t.is(await capOf('change', { at: 'gone' }), undefined);
});
