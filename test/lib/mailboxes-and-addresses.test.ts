import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { parseAddress } from '../../src/lib/address.ts';
import { displayName } from '../../src/lib/display.ts';
import { mailboxLimitKey, maskMailbox, parseMailbox } from '../../src/lib/mailbox.ts';

describe('mailboxes', () => {
  const local = fc.string({
    unit: fc.constantFrom(..."abcXYZ09.!#$%&'*+/=?^_`{|}~-"),
    minLength: 1,
    maxLength: 64,
  });
  const label = fc.string({ unit: fc.constantFrom(...'abcXYZ09-äöéß中яıſK😀'), minLength: 1, maxLength: 12 });
  const domain = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join('.'));
  const address = fc.tuple(local, domain).map(([left, right]) => `${left}@${right}`);

  test('the canonical form of a canonical form is itself', () => {
    let accepted = 0;
    fc.assert(
      fc.property(fc.oneof(address, fc.emailAddress(), fc.string({ unit: 'binary' })), (text) => {
        const mailbox = parseMailbox(text);
        if (mailbox === undefined) return;
        accepted += 1;
        assert.equal(parseMailbox(mailbox), mailbox);
        assert.equal(parseMailbox(` ${mailbox.toUpperCase()}\n`), mailbox);
        assert.match(mailbox, /^[\x21-\x7e]+@[a-z0-9.-]+\.[a-z0-9-]+$/);
        assert.ok(mailbox.length <= 254);
        assert.doesNotMatch(mailbox, /[\s"<>(),;:\\[\]\p{Lu}]/u);
      }),
      { numRuns: 2000 },
    );
    assert.ok(accepted > 200, `only ${accepted} of the tried were mailboxes at all`);
  });

  test('an ordinary address is accepted whatever its case', () => {
    fc.assert(
      fc.property(fc.emailAddress(), (text) => {
        fc.pre(text.slice(0, text.lastIndexOf('@')).length <= 64 && text.length <= 254);
        assert.equal(parseMailbox(text), text.toLowerCase());
      }),
    );
  });

  test('letters that only look like or fold into others never lead to the mailbox of those', () => {
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
          assert.notEqual(parseMailbox(text), mailbox, text);
        }
      }
    }
  });

  test('budgets count a mailbox once, however it is tagged, and never mix two', () => {
    fc.assert(
      fc.property(
        fc.emailAddress(),
        fc.string({ unit: fc.constantFrom(...'abc+09'), maxLength: 8 }),
        (text, tag) => {
          const mailbox = parseMailbox(text);
          fc.pre(mailbox !== undefined && text.indexOf('@') < 50);
          const [left, right] = mailbox.split('@') as [string, string];
          assert.equal(mailboxLimitKey(`${left}+${tag}@${right}`), mailboxLimitKey(mailbox));
          assert.notEqual(mailboxLimitKey(`x${left}@${right}`), mailboxLimitKey(mailbox));
          assert.equal(mailboxLimitKey(mailboxLimitKey(mailbox)), mailboxLimitKey(mailbox));
        },
      ),
    );
    assert.equal(mailboxLimitKey('j.o.e+x@googlemail.com'), mailboxLimitKey('joe@gmail.com'));
    assert.notEqual(mailboxLimitKey('j.o.e@example.com'), mailboxLimitKey('joe@example.com'));
  });

  test('a masked mailbox shows one letter of its local part', () => {
    assert.equal(maskMailbox('human@example.com'), 'h***@example.com');
    assert.equal(maskMailbox('h@example.com'), 'h***@example.com');
  });
});

describe('client addresses', () => {
  test('an IPv4 address counts as itself, in every spelling', () => {
    fc.assert(
      fc.property(fc.ipV4(), (text) => {
        const address = parseAddress(text);
        assert.deepEqual([address.text, address.limitKey], [text, text]);
        assert.deepEqual(parseAddress(`::ffff:${text}`), address);
        assert.equal(address.coarse, `${text.split('.').slice(0, 2).join('.')}.x.x`);
      }),
    );
  });

  test('an IPv6 address counts as its /64: what the host may choose itself changes nothing', () => {
    const group = fc.integer({ min: 1, max: 0xffff }).map((value) => value.toString(16));
    const half = fc.tuple(group, group, group, group).map((groups) => groups.join(':'));
    fc.assert(
      fc.property(half, half, half, (network, host, other) => {
        const address = parseAddress(`${network}:${host}`);
        assert.equal(address.limitKey, `${network}::/64`);
        assert.equal(parseAddress(`${network}:${other}`.toUpperCase()).limitKey, address.limitKey);
        const next = (Number.parseInt(network.split(':')[3]!, 16) ^ 1).toString(16);
        const neighbour = [...network.split(':').slice(0, 3), next].join(':');
        assert.notEqual(parseAddress(`${neighbour}:${host}`).limitKey, address.limitKey);
      }),
    );
  });

  test('what is no address is unknown, and never an error', () => {
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
      assert.equal(parseAddress(text).text, 'unknown', text);
    }
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => void parseAddress(text)));
  });
});

describe('names that strangers choose', () => {
  /** What mail programs turn into links, all of which need one of these marks before a letter or digit. */
  const LINK = /[./:@\u2024\u3002\uff0e\uff0f\uff1a\uff20\uff61][\p{L}\p{N}\p{M}]/u;
  const HIDDEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cs}\p{Default_Ignorable_Code_Point}]/u;

  function assertHarmless(name: string): void {
    const shown = displayName(name);
    assert.doesNotMatch(shown, LINK, JSON.stringify(name));
    assert.doesNotMatch(shown, HIDDEN, JSON.stringify(name));
    assert.ok([...shown].length <= 64, JSON.stringify(name));
    assert.ok(shown.isWellFormed(), JSON.stringify(name));
    assert.equal(shown, shown.trim());
  }

  test('no hostile name becomes a link, hides or reorders letters, or grows', () => {
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
    for (const name of hostile) assertHarmless(name);
  });

  test('nor does any other', () => {
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
    fc.assert(
      fc.property(
        fc.array(piece, { maxLength: 30 }).map((pieces) => pieces.join('')),
        assertHarmless,
      ),
      { numRuns: 2000 },
    );
  });

  test('an ordinary name is shown as it is', () => {
    for (const name of [
      'Robin',
      'My agent',
      'Zoë’s helper (v2)',
      '研究助手',
      'مساعد',
      "O'Neil & co",
      'R2-D2 🤖',
    ]) {
      assert.equal(displayName(name), name);
    }
  });
});
