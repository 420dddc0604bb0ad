import { displayName } from '../../src/lib/untrusted-text.ts';
import { openBrowser } from '../helpers/browser.ts';
import { said } from '../helpers/ceremony.ts';
import {
  APPROVED,
  assertPage,
  codeIn,
  DENIED,
  type House,
  heading,
  openHouse,
} from '../helpers/claim-page.ts';
import { newMailbox } from '../helpers/common.ts';
import { ESCAPES } from '../helpers/own-pages.ts';
import { wrongCode } from '../helpers/service.ts';
import { onEveryEngine } from '../helpers/suite.ts';
import { assertHeaders } from '../helpers/wire.ts';

onEveryEngine('the claim page among strangers', (engine, test) => {
  let house: House;
  test.before(async () => {
    house = await openHouse(engine);
  });
  test.after(() => house.stop());

  test.describe('posts that no page of ours led to', (test) => {
    const REFUSED: Record<string, Record<string, string | undefined>> = {
      'from another site': { Origin: 'https://evil.example', 'Sec-Fetch-Site': 'cross-site' },
      'from another site, by its Origin alone': {
        Origin: 'https://evil.example',
        'Sec-Fetch-Site': undefined,
      },
      'from another port of this host': { Origin: 'http://localhost:1', 'Sec-Fetch-Site': 'same-site' },
      'with Origin null from another site': { Origin: 'null', 'Sec-Fetch-Site': 'cross-site' },
      'with Origin null from a sibling site': { Origin: 'null', 'Sec-Fetch-Site': 'same-site' },
      'without Origin from another site': { Origin: undefined, 'Sec-Fetch-Site': 'cross-site' },
      'with an empty Origin': { Origin: '', 'Sec-Fetch-Site': undefined },
    };

    for (const [path, change] of [
      ['/claim', 'approve'],
      ['/claim/deny', 'deny'],
    ] as const) {
      test(`with a wrong token or from a wrong place ${change} nothing`, async (t) => {
        const asked = await house.ask();
        const human = await house.open(asked.mail.claimUrl);
        await human.get(path);
        const fields = { ...human.form(path), ...(path === '/claim' && { code: codeIn(asked.mail) }) };
        const stranger = await house.open(asked.mail.claimUrl);
        await stranger.get(path);
        const before = await house.rows();

        for (const [about, headers] of Object.entries(REFUSED)) {
          assertPage(t, await human.send(path, fields, headers), 403, about);
        }
        const tokens = {
          none: undefined,
          empty: '',
          invented: 'A'.repeat(27),
          "another browser's": stranger.form(path).csrf,
          "the link's": new URL(asked.viewUrl).searchParams.get('t')!.split('.').at(-1),
        };
        for (const [about, csrf] of Object.entries(tokens)) {
          assertPage(t, await human.send(path, { ...fields, csrf }), 403, about);
        }
        const link = human.cookies.get('vouchsafe_claim')!;
        for (const cookie of [
          undefined,
          `vouchsafe_claim=${link}`,
          `vouchsafe_claim=${link}; vouchsafe_browser=`,
          `vouchsafe_claim=${link}; vouchsafe_browser=x`,
          `vouchsafe_claim=${link}; browser=${human.cookies.get('vouchsafe_browser')}`,
          `vouchsafe_claim=${link}; vouchsafe_browser=${stranger.cookies.get('vouchsafe_browser')}`,
        ]) {
          assertPage(t, await human.send(path, fields, { Cookie: cookie }), 403, cookie);
        }
        t.deepEqual(await house.rows(), before);
        t.is(said(await house.poll(asked.claim_token)), '400 authorization_pending');

        const done = await human.send(path, fields);
        t.is(heading(done), path === '/claim' ? APPROVED : DENIED);
      });
    }

    test('while those of every browser are taken: with our Origin, with Origin null, or with neither', async (t) => {
      const { url } = house.on;
      for (const headers of [
        { Origin: url, 'Sec-Fetch-Site': 'same-origin' },
        { Origin: url, 'Sec-Fetch-Site': undefined },
        { Origin: 'null', 'Sec-Fetch-Site': 'same-origin' },
        { Origin: undefined, 'Sec-Fetch-Site': 'same-origin' },
        { Origin: undefined, 'Sec-Fetch-Site': undefined },
      ]) {
        const asked = await house.ask();
        const human = await house.open(asked.viewUrl);
        const page = await human.post('/claim', { code: codeIn(asked.mail) }, headers);
        t.is(heading(page), APPROVED, JSON.stringify(headers));
      }
    });

    test('a GET approves and denies nothing, whatever its query says', async (t) => {
      const asked = await house.ask();
      const human = await house.open(asked.viewUrl);
      const { csrf, attempt } = human.form('/claim');
      const before = await house.rows();
      const query = new URLSearchParams({
        csrf: csrf!,
        attempt: attempt!,
        code: codeIn(asked.mail),
        no_more: 'on',
      });
      for (const path of ['/claim', '/claim/deny']) await human.get(`${path}?${query}`);
      t.deepEqual(await house.rows(), before);
    });
  });

  test.describe('what carries the pages', (test) => {
    test('every page and redirect, also of refusals, forbids frames, foreign scripts and forms, caching and referrers', async (t) => {
      const { on, ask, open, complete } = house;
      const asked = await ask();
      const human = await open(asked.mail.denyUrl);
      await human.get('/claim');
      const form = human.form('/claim');
      const cookie = [...human.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
      const headers = { Cookie: cookie, Accept: 'text/html', 'Sec-Fetch-Site': 'same-origin' };
      const post = (path: string, body: string, type = 'application/x-www-form-urlencoded') =>
        on.request('POST', path, { body, headers: { ...headers, 'Content-Type': type } });
      const fields = (more: object = {}) => new URLSearchParams({ ...form, ...more }).toString();

      const claimed = await ask();
      const late = await open(claimed.viewUrl);
      const lateForm = late.form('/claim');
      await complete(claimed.claim_token, codeIn(claimed.mail));
      const refused = await late.send('/claim', { ...lateForm, code: codeIn(claimed.mail) });

      const answers = {
        200: [
          await on.request('GET', '/claim', { headers }),
          await on.request('GET', '/claim/deny', { headers }),
          await on.request('GET', '/dev/mailbox', { headers }),
        ],
        303: [
          await on.request('GET', asked.viewUrl.slice(on.url.length), { headers }),
          await on.request('HEAD', asked.mail.denyUrl.slice(on.url.length), { headers }),
        ],
        400: [
          await post('/claim', fields({ code: wrongCode(codeIn(asked.mail)) })),
          await post('/claim', fields({ code: '1' })),
          await post('/claim', `${fields()}&attempt=twice`),
          await post('/claim', 'csrf=x'),
          await post('/claim/deny', fields({ no_more: 'perhaps' })),
          await on.request('GET', '/claim?access_token=x', { headers }),
        ],
        403: [await post('/claim', fields({ csrf: 'x' })), await post('/claim/deny', fields({ csrf: 'x' }))],
        404: [
          await on.request('GET', '/claim', { headers: { Accept: 'text/html' } }),
          await on.request('GET', '/claim?t=x'),
          await on.request('GET', '/claim/deny?t=x'),
          await on.request('GET', '/nothing/here', { headers }),
        ],
        405: [
          await on.request('DELETE', '/claim', { headers }),
          await on.request('PUT', '/claim/deny', { headers, body: 'x' }),
          await on.request('OPTIONS', '/claim', { headers }),
        ],
        409: [{ ...refused, body: refused.text }],
        413: [
          await post('/claim', `x=${'y'.repeat(20_000)}`),
          await post('/claim/deny', `x=${'y'.repeat(20_000)}`),
        ],
        415: [await post('/claim', '{}', 'application/json'), await post('/claim/deny', 'x', 'text/plain')],
      };
      for (const [status, replies] of Object.entries(answers)) {
        for (const [index, reply] of replies.entries()) {
          const about = `${status}, number ${index}: ${reply.text}`;
          t.is(reply.status, Number(status), about);
          t.is(reply.headers.get('content-type'), 'text/html; charset=utf-8', about);
          assertHeaders(t, reply, about);
          const policy = (reply.headers.get('content-security-policy') ?? '').split('; ');
          for (const directive of [
            "default-src 'none'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
            "form-action 'self'",
          ]) {
            t.true(policy.includes(directive), `${directive} ${about}`);
          }
          t.false(policy.join().includes('unsafe'), about);
          t.is(reply.headers.get('x-frame-options'), 'DENY', about);
          t.is(reply.headers.get('cross-origin-opener-policy'), 'same-origin', about);
          // What the policy allows is all that the page has. The development mailbox shows mails in frames of this service.
          const framed =
            /<iframe class="mail-frame" sandbox loading="lazy" src="\/dev\/mailbox\/\d+" title="[^"]*">/g;
          const text = policy.includes("frame-src 'self'") ? reply.text.replaceAll(framed, '') : reply.text;
          t.notRegex(text, /<script|<style|\sstyle=|\son[a-z]+=|javascript:|<iframe|<base/i, about);
        }
      }
    });

    test('cookies are for this host alone, and no script or foreign post gets at them', async (t) => {
      const asked = await house.ask();
      const human = await house.open(asked.viewUrl);
      await human.post('/claim', { code: codeIn(asked.mail) });
      await human.get(asked.mail.denyUrl);
      t.true(human.setCookies.length >= 3, human.setCookies.join('\n'));
      for (const line of human.setCookies) {
        t.regex(line, /^vouchsafe_(browser|claim)=[^;]+; Path=\/; HttpOnly; SameSite=Lax$/);
      }
      t.regex(human.cookies.get('vouchsafe_browser')!, /^[0-9A-Za-z]{32}$/);
      const other = await house.open(asked.viewUrl);
      t.not(other.cookies.get('vouchsafe_browser'), human.cookies.get('vouchsafe_browser'));
    });

    test('a browser keeps its cookie, and what is no cookie of ours is replaced', async (t) => {
      const asked = await house.ask();
      const human = await house.open(asked.viewUrl);
      const known = human.cookies.get('vouchsafe_browser');
      await human.get('/claim');
      t.is(human.cookies.get('vouchsafe_browser'), known);
      human.cookies.set('vouchsafe_browser', 'x');
      await human.get('/claim');
      t.regex(human.cookies.get('vouchsafe_browser')!, /^[0-9A-Za-z]{32}$/);
      t.is(heading(await human.post('/claim', { code: codeIn(asked.mail) })), APPROVED);
    });
  });

  test('whatever an agent calls itself, its name is text on both pages and nothing else', async (t) => {
    const mailbox = newMailbox();
    const [plain, shown] = ['Robin', new Map<string, string>()];
    /** Both pages, without what is another one at every claim. */
    async function pagesOf(name: string): Promise<string> {
      const asked = await house.ask({ name, mailbox });
      const human = openBrowser(house.on);
      const pages = [await human.get(asked.mail.denyUrl), await human.get('/claim')];
      for (const page of pages) assertPage(t, page, 200, name);
      return pages
        .map(({ text }) => text.replaceAll(/(name="(?:csrf|once|attempt)" value)="[^"<>]*"/g, '$1'))
        .join();
    }
    const harmless = await pagesOf(plain);
    t.is(harmless.split(plain).length, 3);

    for (const name of PAYLOADS) {
      t.true(name.length <= 64, name);
      const display = displayName(name);
      t.notRegex(display, /[\u202a-\u202e\u2066-\u2069\u200b-\u200f\p{Cc}]/u);
      const escaped = display.replaceAll(/[&<>"']/g, (mark) => ESCAPES[mark]!);
      const page = await pagesOf(name);
      t.is(page.split(`<bdi>${escaped}</bdi>`).length, 3, page);
      t.is(page.replaceAll(`<bdi>${escaped}</bdi>`, `<bdi>${plain}</bdi>`), harmless, name);
      shown.set(escaped, name);
    }
    t.is(shown.size, PAYLOADS.length);
  });
});

const PAYLOADS = [
  '<script>alert(1)</script>',
  '</script><script>alert(1)//',
  '<img src=x onerror=alert(1)>',
  '<svg/onload=alert(1)>',
  '"><b>bold',
  "' autofocus onfocus=alert(1) x='",
  '" autofocus onfocus=alert(1) x="',
  '</b></dd></dl><form action=//evil.example>',
  '</title><meta http-equiv=refresh content=0;url=//evil>',
  '<base href=//evil.example>',
  '<a href=javascript:alert(1)>click</a>',
  '<!-- ', // would swallow the rest of the page
  ']]><![CDATA[',
  '<%= it.csrf %>',
  '<%~ it.body %>',
  '{{constructor.constructor("alert(1)")()}}',
  `\${7*7}\`$&$1`,
  '&lt;script&gt;&#60;b&#62;',
  '\u202egnp.exe\u202c\u2066x\u2069',
  '\u200bRobin\u200d\u200e(verified by Vouchsafe)\u200f',
  'Robin\u2028<b>\u2029\u00ad\ufeff',
  '＜script＞alert(1)＜/script＞',
  'https://evil.example/login?t=1',
  '<'.repeat(64),
  '𝕏'.repeat(32),
  'a\u0301'.repeat(32),
  '\u{e0041}\ufe0f<b onclick=alert(1)>',
];
