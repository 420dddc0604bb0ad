import { spawn } from 'node:child_process';

/** What decides whether a browser may be opened. */
export interface PopupConditions {
  /** Whether `--no-popup` was not given. */
  isAllowed: boolean;
  hasTerminal: boolean;
  env: Record<string, string | undefined>;
  platform: NodeJS.Platform;
}

/**
 * Opens a link in the browser of this machine, by an argument list and never a shell. Does nothing without a terminal, in a
 * session over SSH, in CI, and for a link that is not of the service.
 *
 * @returns whether a browser was asked to open it
 */
export function openLink(link: string, service: string, conditions: PopupConditions): boolean {
  const { isAllowed, hasTerminal, env, platform } = conditions;
  if (!isAllowed || !hasTerminal || isSet(env.SSH_CONNECTION) || isSet(env.CI)) return false;
  if (!isOfService(link, service)) return false;
  const [program, ...args] = linkOpener(platform);
  const child = spawn(program!, [...args, link], { stdio: 'ignore', detached: true, shell: false, env });
  // There may be no browser. The link is printed either way.
  child.on('error', () => {});
  child.unref();
  return true;
}

/** Whether a link stays at a service: the same origin, and below its path. */
export function isOfService(link: string, service: string): boolean {
  return (
    /^[\x21-\x7e]+$/.test(link) && (link === service || link.startsWith(`${service.replace(/\/$/, '')}/`))
  );
}

function isSet(value: string | undefined): boolean {
  return value !== undefined && value !== '';
}

/** Returns the program that opens links, and its arguments before the link. */
export function linkOpener(platform: NodeJS.Platform): string[] {
  if (platform === 'darwin') return ['open'];
  if (platform === 'win32') return ['rundll32', 'url.dll,FileProtocolHandler'];
  return ['xdg-open'];
}
