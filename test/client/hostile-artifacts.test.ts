import { createRequest, parseArtifact, readRequest, verifyRequest } from '../../src/client/index.ts';
import { codeOf } from '../helpers/code-of.ts';
import { VECTOR, VECTOR_KEY, VECTOR_NOW } from '../helpers/request-vector.ts';
import { test } from '../helpers/suite.ts';

const parse = (text: string) => codeOf(() => parseArtifact(Buffer.from(text)));

test('an artifact that is huge, deep, or has many names is refused at once', async (t) => {
  const names = Array.from({ length: 1025 }, (_, index) => `"n${index}":1`).join(',');
  for (const [code, text] of [
    ['ARTIFACT_TOO_LARGE', `{"a":"${'x'.repeat(10_000_000)}"}`],
    ['ARTIFACT_TOO_LARGE', `{"a":"${'x'.repeat(16_384)}"}`],
    ['INVALID_REQUEST_ARTIFACT', `${'{"a":'.repeat(5000)}1${'}'.repeat(5000)}`],
    ['INVALID_REQUEST_ARTIFACT', '['.repeat(60_000)],
    ['INVALID_REQUEST_ARTIFACT', `{"a":${'['.repeat(5000)}${']'.repeat(5000)}}`],
    ['INVALID_REQUEST_ARTIFACT', `{${names}}`],
    ['INVALID_REQUEST_ARTIFACT', '{"a":1,"\\u0061":2}'],
    ['INVALID_REQUEST_ARTIFACT', '{"a":"\\ud800"}'],
    ['INVALID_REQUEST_ARTIFACT', '{"__proto__":{}}'],
    ['INVALID_REQUEST_ARTIFACT', '{"a":"\\u0000"}'],
    ['INVALID_REQUEST_ARTIFACT', '[]'],
    ['INVALID_REQUEST_ARTIFACT', ''],
    ['INVALID_REQUEST_ARTIFACT', '{} {}'],
  ] as const) {
    const before = process.memoryUsage().heapUsed;
    const start = process.cpuUsage();
    t.is(await parse(text), code, text.slice(0, 60));
    const { user, system } = process.cpuUsage(start);
    t.true(user + system < 100_000, `${text.slice(0, 60)}: ${user + system} µs of a processor`);
    t.true(process.memoryUsage().heapUsed - before < 32 * 2 ** 20, text.slice(0, 60));
  }
});

test('what moves cursors or hides is taken in names and reasons alone, and is within the signature', async (t) => {
  const strange = 'Approved ✓\u001b[2J\u009b\u202e\nhttps://evil.example';
  const [entry] = VECTOR.permissions;
  const permissions = [{ ...entry, actions: [...entry.actions], reason: strange }];
  const options = { service: VECTOR.service, key: VECTOR_KEY, permissions, now: VECTOR_NOW };
  const request = await createRequest({ ...options, name: strange });
  const again = readRequest(parseArtifact(Buffer.from(JSON.stringify(request))));
  t.is(again.requester.name, strange);
  await t.notThrowsAsync(verifyRequest(again, { now: VECTOR_NOW }));
  for (const value of [
    { ...VECTOR, service: `https://id.example.com/${strange}` },
    { ...VECTOR, id: `prq_${strange}` },
    { ...VECTOR, requester: { ...VECTOR.requester, agent_id: `agt_${strange}` } },
    { ...VECTOR, action: strange, permissions: [{ ...entry, actions: ['read'] }] },
    { ...VECTOR, permissions: [{ ...entry, path: strange }] },
    { ...VECTOR, permissions: [{ ...entry, actions: [strange] }] },
    { ...VECTOR, permissions: [{ ...entry, types: [strange] }] },
    { ...VECTOR, permissions: [{ ...entry, space: strange }] },
    { ...VECTOR, permissions: [{ ...entry, service: strange }] },
    { ...VECTOR, [strange]: 1 },
  ]) {
    const error = t.throws(() => readRequest(value), undefined, JSON.stringify(value));
    t.regex(error.message, /^[\x20-\x7e]*$/);
    t.false(error.message.includes('evil'));
  }
});

test('names and reasons have their lengths, in characters', async (t) => {
  const [entry] = VECTOR.permissions;
  const make = (name: string, reason: string) =>
    codeOf(() =>
      createRequest({
        service: VECTOR.service,
        key: VECTOR_KEY,
        name,
        permissions: [{ ...entry, actions: ['read'], reason }],
      }),
    );
  t.is(await make('🦊'.repeat(64), '🦊'.repeat(300)), undefined);
  t.is(await make('x'.repeat(65), 'x'), 'INVALID_REQUEST_ARTIFACT');
  t.is(await make('x', 'x'.repeat(301)), 'INVALID_REQUEST_ARTIFACT');
  t.is(await make('', 'x'), 'INVALID_REQUEST_ARTIFACT');
});

test('one action is one permission, and once is only for it', async (t) => {
  const [entry] = VECTOR.permissions;
  const one = { ...entry, actions: ['read'] };
  const options = { service: VECTOR.service, key: VECTOR_KEY };
  const request = await createRequest({
    ...options,
    permissions: [one],
    action: 'Send the mail',
    once: true,
  });
  t.like(request, { action: 'Send the mail', once: true });
  t.is(await codeOf(() => verifyRequest({ ...request, action: 'Send another' })), 'SIGNATURE_INVALID');
  for (const [more, permissions] of [
    [{ once: true }, [one]],
    [{ action: 'x' }, [{ ...entry, actions: ['list', 'read'] }]],
    [{ action: 'x' }, [one, { ...one, path: 'y/' }]],
    [{ action: 'two\nlines' }, [one]],
    [{ action: 'x'.repeat(301) }, [one]],
  ] as const) {
    const code = await codeOf(() =>
      createRequest({
        ...options,
        ...more,
        permissions: permissions.map((each) => ({ ...each, actions: [...each.actions] })),
      }),
    );
    t.is(code, 'INVALID_REQUEST_ARTIFACT', JSON.stringify(more));
  }
});
