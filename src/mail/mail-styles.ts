import { deriveColors } from '../lib/theme.ts';

/**
 * The styles of the HTML parts. They stand in `style` attributes, because mail programs strip other ones, in light colors;
 * layout.html.eta has the dark ones. Two dark colors are spelled as rgb(), so that no six digits but a code's stand in a mail.
 */

const LIGHT = {
  ground: '#f7f7f5',
  surface: '#ffffff',
  sunken: '#f2f2ef',
  line: '#e3e3de',
  ink: '#1c1c1a',
  quiet: '#5b5a54',
};
const DARK: typeof LIGHT = {
  ground: 'rgb(17,17,16)',
  surface: '#1a1a18',
  sunken: 'rgb(35,35,33)',
  line: '#31312e',
  ink: '#eeeeea',
  quiet: '#a8a79f',
};

const SANS = 'system-ui,-apple-system,Segoe UI,Roboto,Helvetica,Arial,sans-serif';
const MONO = 'ui-monospace,SFMono-Regular,Menlo,Consolas,Liberation Mono,monospace';
const BREAKS = 'overflow-wrap:anywhere;word-break:break-word';

/** Derives the styles from the operator's accent: inline styles by their use, and the dark colors. */
export function createMailStyles(brandAccent: string) {
  const { ground, surface, sunken, line, ink, quiet } = LIGHT;
  const { accent, on } = deriveColors(brandAccent, 'light');
  const dark = deriveColors(brandAccent, 'dark');
  const text = (size: string, color: string, more = '') =>
    `margin:0;font-family:${SANS};font-size:${size};color:${color};${BREAKS}${more && `;${more}`}`;
  return {
    css: {
      body: `margin:0;padding:0;background:${ground}`,
      ground: `width:100%;background:${ground}`,
      column: 'width:100%;max-width:536px;table-layout:fixed',
      brand: `padding:0 4px 24px;${text('16px', ink, 'line-height:24px;font-weight:600')}`,
      tick: `color:${accent}`,
      card: `width:100%;table-layout:fixed;border-collapse:separate;border:1px solid ${line};border-radius:10px;background:${surface}`,
      cardCell: 'padding:32px',
      title: text('22px', ink, 'line-height:30px;font-weight:600;letter-spacing:-0.015em'),
      lead: text('15px', quiet, 'line-height:23px;padding-top:6px'),
      code: `background:${sunken};border-radius:8px;padding:18px 8px;text-align:center;color:${ink};font-family:${MONO};font-size:34px;line-height:40px;font-weight:600;letter-spacing:.18em;white-space:nowrap`,
      codeGap: 'padding-left:.8em',
      expires: text('13px', quiet, 'line-height:19px;padding-top:10px;text-align:center'),
      expiresFirst: 'padding-top:20px',
      button: `background:${accent};border-radius:6px;text-align:center`,
      buttonLink: `display:block;padding:12px 16px;font-family:${SANS};font-size:15px;line-height:22px;font-weight:600;color:${on};text-decoration:none`,
      rule: `margin:28px 0 0;border:0;border-top:1px solid ${line};height:0;line-height:0;font-size:0`,
      heading: text('14px', ink, 'line-height:20px;font-weight:600;padding-top:24px'),
      facts: 'margin-top:6px;border-collapse:collapse',
      factLabel: text(
        '14px',
        quiet,
        'line-height:20px;padding:4px 20px 4px 0;white-space:nowrap;word-break:normal;overflow-wrap:normal',
      ),
      factValue: text('14px', ink, 'line-height:20px;padding:4px 0'),
      quiet: `color:${quiet}`,
      paragraph: text('14px', ink, 'line-height:20px;padding-top:8px'),
      list: 'margin:4px 0 0;padding:0 0 0 18px',
      item: text('14px', ink, 'line-height:20px;padding-top:4px'),
      note: text('13px', quiet, 'line-height:20px;padding:24px 4px 0'),
      noteStart: `color:${ink}`,
      sender: text('13px', quiet, 'line-height:20px;padding:20px 4px 0'),
      link: `color:${accent};text-decoration:underline`,
      quietLink: `color:${quiet};text-decoration:underline`,
    },
    dark: { ...DARK, accent: dark.accent, on: dark.on },
  };
}
