import { normalizeCode } from '../../src/lib/code-text.ts';
import { openBrowser } from '../helpers/browser.ts';
import { startTestService, type TestService, wrongCode } from '../helpers/service.ts';
import { onEveryEngine, test } from '../helpers/suite.ts';

const fullWidth = (code: string) =>
  code.replace(/[0-9]/g, (digit) => String.fromCodePoint(0xff10 + Number(digit)));
const script = (zero: number) => (code: string) =>
  code.replace(/[0-9]/g, (digit) => String.fromCodePoint(zero + Number(digit)));

/** How a code of six digits arrives from phones, mail programs and keyboards. */
const WAYS: Record<string, (code: string) => string> = {
  'as it is': (code) => code,
  'in two halves': (code) => `${code.slice(0, 3)} ${code.slice(3)}`,
  'with a hyphen': (code) => `${code.slice(0, 3)}-${code.slice(3)}`,
  'with an en dash': (code) => `${code.slice(0, 3)}–${code.slice(3)}`,
  'with a non-breaking hyphen': (code) => `${code.slice(0, 3)}\u2011${code.slice(3)}`,
  'with a minus sign': (code) => `${code.slice(0, 3)}\u2212${code.slice(3)}`,
  'with a no-break space': (code) => `${code.slice(0, 3)}\u00a0${code.slice(3)}`,
  'with an ideographic space': (code) => `${code.slice(0, 3)}\u3000${code.slice(3)}`,
  'with zero-width spaces': (code) => [...code].join('\u200b'),
  'with a word joiner and a byte order mark': (code) => `\ufeff${code.slice(0, 3)}\u2060${code.slice(3)}`,
  'with a soft hyphen': (code) => `${code.slice(0, 3)}\u00ad${code.slice(3)}`,
  'between direction marks': (code) => `\u2066${code}\u2069`,
  'with a line end': (code) => `${code}\r\n`,
  'in full width': fullWidth,
  'in Arabic digits': script(0x0660),
  'in Persian digits': script(0x06f0),
  'in Devanagari digits': script(0x0966),
  'in mathematical digits': script(0x1d7ce),
};

test.describe('a code as it was typed', (test) => {
  test('is read as it was meant', (t) => {
    for (const [way, write] of Object.entries(WAYS)) {
      t.is(normalizeCode(write('907214')), '907214', way);
    }
    t.is(normalizeCode('ＢＣＤＦ－ＧＨＪＫ'), 'BCDFGHJK');
  });

  test('stays another one where it is another one', (t) => {
    for (const text of ['90721', '9072145', '90721a', '907.214', '½07214', '90721०a']) {
      t.notRegex(normalizeCode(text), /^[0-9]{6}$/, text);
    }
  });
});

onEveryEngine('codes as people write them', (engine, test) => {
  let on: TestService;
  test.before(async () => {
    on = await startTestService(engine);
  });
  test.after(() => on.stop());

  test('complete a claim over the tinysend profile and auth.md v0.1', async (t) => {
    for (const [index, [way, write]] of Object.entries(WAYS).entries()) {
      if (way === 'with a line end') continue; // no JSON text of ours may hold one
      const mailbox = `api-${index}-${engine}@example.com`;
      const { claim_token } = await on.register();
      await on.post('/agent/auth/claim', { claim_token, email: mailbox });
      const otp = write(await on.codeFor(mailbox));
      const done = await on.post('/agent/auth/claim/complete', { claim_token, otp });
      t.is(done.status, 200, `${way}: ${done.text}`);
    }
  });

  test('sign a person in on the page', async (t) => {
    for (const [index, [way, write]] of Object.entries(WAYS).entries()) {
      const mailbox = `page-${index}-${engine}@example.com`;
      const browser = openBrowser(on);
      await browser.get('/sign-in');
      const asked = await browser.post('/sign-in', { email: mailbox });
      t.is(asked.status, 200, asked.text);
      const code = await on.signInCodeFor(mailbox);
      await browser.post('/sign-in/code', { code: write(code) });
      t.is((await browser.get('/account')).status, 200, way);
    }
  });

  test('that are none cost no try; wrong ones cost one, however they are written', async (t) => {
    const mailbox = `tries-${engine}@example.com`;
    const { claim_token } = await on.register();
    await on.post('/agent/auth/claim', { claim_token, email: mailbox });
    const right = await on.codeFor(mailbox);
    for (const otp of ['12345', '1234567', 'abcdef', '１２３４５', `${right}１`]) {
      const reply = await on.post('/agent/auth/claim/complete', { claim_token, otp });
      t.is(reply.status, 400, otp);
    }
    for (const [left, write] of [fullWidth, script(0x0660)].entries()) {
      const reply = await on.post('/agent/auth/claim/complete', {
        claim_token,
        otp: write(wrongCode(right)),
      });
      t.is(reply.status, 401, reply.text);
      t.is(reply.body.error.attempts_remaining, 4 - left);
    }
    t.is((await on.post('/agent/auth/claim/complete', { claim_token, otp: right })).status, 200);
  });
});
