import type { TestService } from './service.ts';

/** A page as it arrived, after the redirects that led to it. */
export interface Page {
  status: number;
  headers: Headers;
  text: string;
  /** Path and query of the address bar. */
  path: string;
  /** The Location of every redirect on the way. */
  redirects: string[];
}

type Fields = Record<string, string | undefined>;

/** Somebody at a browser: keeps cookies, follows redirects of our own, fills forms; runs no scripts. */
export interface Browser {
  /** By name, as they are sent. */
  cookies: Map<string, string>;
  /** Every Set-Cookie line so far. */
  setCookies: string[];
  /** @param to a path or a URL of the service */
  get(to: string, headers?: Fields): Promise<Page>;
  /**
   * What the form for that path on the last page would send if nothing were typed, without the name of the page: each sending is an
   * action of its own.
   */
  form(path: string): Record<string, string>;
  /** The same with it: sent twice it is one action. */
  wholeForm(path: string): Record<string, string>;
  /** Fills the form of the last page and sends it; a field or header that is undefined is left out. */
  post(path: string, fields?: Fields, headers?: Fields): Promise<Page>;
  /** Sends fields without any form. */
  send(path: string, fields: Fields, headers?: Fields): Promise<Page>;
}

/** What browsers send with a post of a page under `Referrer-Policy: no-referrer`. */
const OUR_POST = { Origin: 'null', 'Sec-Fetch-Site': 'same-origin' };
const REDIRECTS_MAX = 5;

/** @param on `publicUrl`: what the service takes for its own URL, if it listens at another */
export function openBrowser(on: Pick<TestService, 'url'> & { publicUrl?: string }): Browser {
  const cookies = new Map<string, string>();
  const setCookies: string[] = [];
  /** Those of one path, by path and name. */
  const ofPaths = new Map<string, { path: string; name: string; value: string }>();
  let last = '';

  async function ask(method: string, to: string, headers: Fields, body?: URLSearchParams): Promise<Response> {
    const url = new URL(to, on.url);
    if (url.origin !== on.url) throw new Error(`a link that leads away: ${url.href}`);
    const sent = [...ofPaths.values()].filter(
      // RFC 6265 section 5.1.4
      ({ path }) => url.pathname === path || url.pathname.startsWith(`${path}/`),
    );
    const cookie = [...sent.map(({ name, value }) => [name, value]), ...cookies]
      .map(([name, value]) => `${name}=${value}`)
      .join('; ');
    const all = { Accept: 'text/html', Cookie: cookie === '' ? undefined : cookie, ...headers };
    const response = await fetch(url, {
      method,
      redirect: 'manual',
      headers: present(all),
      body: body ?? null,
    });
    for (const line of response.headers.getSetCookie()) keep(line);
    return response;
  }

  /** Takes a cookie as strictly as browsers take ours: on https only for this host and `Secure`, on http only without (WebKit). */
  function keep(line: string): void {
    setCookies.push(line);
    const [pair = '', ...attributes] = line.split(/; */);
    const [name, value] = [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)];
    const known = attributes.map((each) => each.toLowerCase());
    const isSecure = on.url.startsWith('https:');
    const path =
      known.find((each) => each.startsWith('path=/') && each !== 'path=/') &&
      line.match(/path=([^;]+)/i)![1]!;
    if (path && /oidc_(?:interaction|resume)/.test(name)) {
      ofPaths.set(`${path} ${name}`, { path, name, value });
      return;
    }
    const isRight = known.includes('secure') === isSecure && name.startsWith('__Host-') === isSecure;
    if (!isRight || !known.includes('path=/') || known.some((each) => each.startsWith('domain'))) {
      throw new Error(`a cookie that browsers would drop: ${line}`);
    }
    if (known.includes('max-age=0') || known.some((each) => each.startsWith('expires=thu, 01 jan 1970')))
      cookies.delete(name);
    else cookies.set(name, value);
  }

  async function follow(to: string, first: Response): Promise<Page> {
    const redirects: string[] = [];
    let response = first;
    let at = new URL(to, on.url);
    while (response.status === 303) {
      await response.arrayBuffer();
      const location = response.headers.get('location')!;
      redirects.push(location);
      if (redirects.length > REDIRECTS_MAX) throw new Error(`in circles: ${redirects.join(' ')}`);
      const { origin, href } = new URL(location, on.url);
      const next = new URL(origin === on.publicUrl ? href.slice(origin.length) : href, on.url);
      // An app: what it got stands in the address bar.
      if (next.origin !== on.url)
        return { status: 303, headers: response.headers, text: '', path: location, redirects };
      at = next;
      response = await ask('GET', at.href, {});
    }
    const text = await response.text();
    last = text;
    const { status, headers } = response;
    return { status, headers, text, path: at.pathname + at.search, redirects };
  }

  function form(path: string): Record<string, string> {
    const { once, ...fields } = wholeForm(path);
    const needsOnce = path === '/keys/new' || /^\/workspaces\/\w+\/apps\//.test(path);
    return needsOnce && once !== undefined ? { ...fields, once } : fields; // it must have one
  }

  function wholeForm(path: string): Record<string, string> {
    const found = last.match(new RegExp(`<form method="post" action="${path}"[^>]*>([\\s\\S]*?)</form>`));
    if (found === null) throw new Error(`there is no form for ${path} on this page:\n${last}`);
    const hidden = found[1]!.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)">/g);
    // Tests of other pages tick what they mean.
    const boxes =
      path === '/claim'
        ? found[1]!.matchAll(/<input type="checkbox" name="([^"]*)" value="([^"]*)" checked/g)
        : [];
    const areas = found[1]!.matchAll(/<textarea [^>]*name="([^"]*)"[^>]*>([^<]*)</g);
    return Object.fromEntries([...hidden, ...boxes, ...areas].map(([, name, value]) => [name, value]));
  }

  async function send(path: string, fields: Fields, headers: Fields = {}): Promise<Page> {
    const body = new URLSearchParams(present(fields));
    return follow(path, await ask('POST', path, { ...OUR_POST, ...headers }, body));
  }

  return {
    cookies,
    setCookies,
    get: async (to, headers = {}) => follow(to, await ask('GET', to, headers)),
    form,
    wholeForm,
    post: (path, fields = {}, headers = {}) => send(path, { ...form(path), ...fields }, headers),
    send,
  };
}

function present(fields: Fields): Record<string, string> {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as Record<string, string>;
}
