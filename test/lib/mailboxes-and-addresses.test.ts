import type { ExecutionContext } from 'ava';
import fc from 'fast-check';
import { parseAddress } from '../../src/lib/address.ts';
import { mailboxLimitKey, maskMailbox, parseMailbox } from '../../src/lib/mailbox.ts';
import { displayName } from '../../src/lib/untrusted-text.ts';
import { assertProperty } from '../helpers/property.ts';
import { test } from '../helpers/suite.ts';

test.describe('mailboxes', (test) => {
  const local = fc.string({
    unit: fc.constantFrom(..."abcXYZ09.!#$%&'*+/=?^_`{|}~-"),
    minLength: 1,
    maxLength: 64,
  });
  const label = fc.string({ unit: fc.constantFrom(...'abcXYZ09-äöéß中яıſK😀'), minLength: 1, maxLength: 12 });
  const domain = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join('.'));
  const address = fc.tuple(local, domain).map(([left, right]) => `${left}@${right}`);

  test('the canonical form of a canonical form is itself', async (t) => {
    let accepted = 0;
    await assertProperty(
      t,
      [fc.oneof(address, fc.emailAddress(), fc.string({ unit: 'binary' }))],
      (t, text) => {
        const mailbox = parseMailbox(text);
        if (mailbox === undefined) return t.pass();
        accepted += 1;
        t.is(parseMailbox(mailbox), mailbox);
        t.is(parseMailbox(` ${mailbox.toUpperCase()}\n`), mailbox);
        t.regex(mailbox, /^[\x21-\x7e]+@[a-z0-9.-]+\.[a-z0-9-]+$/);
        t.true(mailbox.length <= 254);
        t.notRegex(mailbox, /[\s"<>(),;:\\[\]\p{Lu}]/u);
      },
      { numRuns: 2000 },
    );
    t.true(accepted > 200, `only ${accepted} of the tried were mailboxes at all`);
  });

  test('an ordinary address is accepted whatever its case', async (t) => {
    await assertProperty(t, [fc.emailAddress()], (t, text) => {
      fc.pre(text.slice(0, text.lastIndexOf('@')).length <= 64 && text.length <= 254);
      t.is(parseMailbox(text), text.toLowerCase());
    });
  });

  test('letters that only look like or fold into others never lead to the mailbox of those', (t) => {
    const mailbox = 'admin@kiss.example';
    const twins = {
      a: 'аａ',
      d: 'ｄ',
      m: 'ｍ',
      i: 'ıі',
      n: 'ｎ',
      k: '\u212aｋ',
      s: 'ſѕ',
      e: 'е℮',
      x: 'х',
      p: 'р',
      l: 'ⅼ',
      '.': '。．',
    };
    for (const [letter, lookalikes] of Object.entries(twins)) {
      for (const twin of lookalikes) {
        for (const at of [...mailbox].flatMap((each, index) => (each === letter ? [index] : []))) {
          const text = mailbox.slice(0, at) + twin + mailbox.slice(at + 1);
          t.not(parseMailbox(text), mailbox, text);
        }
      }
    }
  });

  test('budgets count a mailbox once, however it is tagged, and never mix two', async (t) => {
    await assertProperty(
      t,
      [fc.emailAddress(), fc.string({ unit: fc.constantFrom(...'abc+09'), maxLength: 8 })],
      (t, text, tag) => {
        const mailbox = parseMailbox(text);
        fc.pre(mailbox !== undefined && text.indexOf('@') < 50);
        const [left, right] = mailbox.split('@') as [string, string];
        t.is(mailboxLimitKey(`${left}+${tag}@${right}`), mailboxLimitKey(mailbox));
        t.not(mailboxLimitKey(`x${left}@${right}`), mailboxLimitKey(mailbox));
        t.is(mailboxLimitKey(mailboxLimitKey(mailbox)), mailboxLimitKey(mailbox));
      },
    );
    t.is(mailboxLimitKey('j.o.e+x@googlemail.com'), mailboxLimitKey('joe@gmail.com'));
    t.not(mailboxLimitKey('j.o.e@example.com'), mailboxLimitKey('joe@example.com'));
  });

  test('a masked mailbox shows one letter of its local part', (t) => {
    t.is(maskMailbox('human@example.com'), 'h***@example.com');
    t.is(maskMailbox('h@example.com'), 'h***@example.com');
  });
});

test.describe('client addresses', (test) => {
  test('an IPv4 address counts as itself, in every spelling', async (t) => {
    await assertProperty(t, [fc.ipV4()], (t, text) => {
      const address = parseAddress(text);
      t.deepEqual([address.text, address.limitKey], [text, text]);
      t.deepEqual(parseAddress(`::ffff:${text}`), address);
      t.is(address.coarse, `${text.split('.').slice(0, 2).join('.')}.x.x`);
    });
  });

  test('an IPv6 address counts as its /64: what the host may choose itself changes nothing', async (t) => {
    const group = fc.integer({ min: 1, max: 0xffff }).map((value) => value.toString(16));
    const half = fc.tuple(group, group, group, group).map((groups) => groups.join(':'));
    await assertProperty(t, [half, half, half], (t, network, host, other) => {
      const address = parseAddress(`${network}:${host}`);
      t.is(address.limitKey, `${network}::/64`);
      t.is(parseAddress(`${network}:${other}`.toUpperCase()).limitKey, address.limitKey);
      const next = (Number.parseInt(network.split(':')[3]!, 16) ^ 1).toString(16);
      const neighbour = [...network.split(':').slice(0, 3), next].join(':');
      t.not(parseAddress(`${neighbour}:${host}`).limitKey, address.limitKey);
    });
  });

  test('what is no address is unknown, and never an error', async (t) => {
    for (const text of [
      undefined,
      '',
      'localhost',
      '1.2.3.4, 5.6.7.8',
      '1.2.3.4:80',
      '[::1]',
      '<script>',
      '::1\r\n',
      'a'.repeat(1000),
    ]) {
      t.is(parseAddress(text).text, 'unknown', text);
    }
    await assertProperty(t, [fc.string({ unit: 'binary' })], (t, text) =>
      t.notThrows(() => parseAddress(text)),
    );
  });
});

test.describe('names that strangers choose', (test) => {
  /** What mail programs turn into links, all of which need one of these marks before a letter or digit. */
  const LINK = /[./:@\u2024\u3002\uff0e\uff0f\uff1a\uff20\uff61][\p{L}\p{N}\p{M}]/u;
  const HIDDEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cs}\p{Default_Ignorable_Code_Point}]/u;

  function assertHarmless(t: ExecutionContext, name: string): void {
    const shown = displayName(name);
    t.notRegex(shown, LINK, JSON.stringify(name));
    t.notRegex(shown, HIDDEN, JSON.stringify(name));
    t.true([...shown].length <= 64, JSON.stringify(name));
    t.true(shown.isWellFormed(), JSON.stringify(name));
    t.is(shown, shown.trim());
  }

  test('no hostile name becomes a link, hides or reorders letters, or grows', (t) => {
    const hostile = [
      'https://evil.example/claim?code=1',
      'HTTPS://EVIL.EXAMPLE',
      'www.evil.example',
      'evil.example',
      'evil。example',
      'evil．example',
      'evil｡example',
      'ｅｖｉｌ．ｅｘａｍｐｌｅ',
      'https:／／evil.example',
      'h\u200bttps://evil.ex\u200bample',
      'evil\u2024example',
      'evil․com',
      'mailto:evil@evil.example',
      'evil@evil.example',
      'evil＠evil.example',
      'javascript:alert(1)',
      'tel:+123456',
      '192.0.2.1',
      'http://2130706433',
      '<a href="https://evil.example">click</a>',
      '<script>alert(1)</script>',
      '<img src=x onerror=alert(1)>',
      'Bob\r\nBcc: other@example.com',
      'Bob\u2028Subject: x',
      'Bob\u0085x',
      'gpj.\u202eexe',
      '\u2066\u2067\u2068\u2069\u061c\u200e\u200f',
      '\u200b\u200c\u200d\ufeff\u2060\u00ad',
      'a\u034fb\u115fc\u1160d\u17b4e\u3164f\uffa0g\u180bh\ufe0f',
      '\u{e0041}\u{e0042}tags',
      'Z\u0351\u0343\u0315\u035c'.repeat(200),
      '\ud800',
      'x'.repeat(5000),
      '👨‍👩‍👧‍👦'.repeat(100),
      '. . . . .',
      '....@@@@////',
      '',
    ];
    for (const name of hostile) assertHarmless(t, name);
  });

  test('nor does any other', async (t) => {
    const piece = fc.oneof(
      fc.constantFrom(
        'https://',
        'www.',
        '.',
        '@',
        '/',
        ':',
        'evil',
        '.com',
        '\u200b',
        '\u202e',
        '．',
        ' ',
        '\n',
        '<b>',
      ),
      fc.string({ unit: 'binary', maxLength: 4 }),
    );
    await assertProperty(
      t,
      [fc.array(piece, { maxLength: 30 }).map((pieces) => pieces.join(''))],
      assertHarmless,
      { numRuns: 2000 },
    );
  });

  test('an ordinary name is shown as it is', (t) => {
    for (const name of [
      'Robin',
      'My agent',
      'Zoë’s helper (v2)',
      '研究助手',
      'مساعد',
      "O'Neil & co",
      'R2-D2 🤖',
    ]) {
      t.is(displayName(name), name);
    }
  });
});
