import type { ClaimMode } from '../store/registrations.ts';

/** What the domain needs of whoever hands mail over. */

/** What happened when a mail was handed over. */
export type Delivery =
  | { kind: 'accepted' }
  /** The server will not take it, now or later (5xx). */
  | { kind: 'refused'; reason: string }
  /** Perhaps later (4xx, no answer). */
  | { kind: 'delayed'; reason: string }
  /** The server cannot be reached: no mail got as far as it. */
  | { kind: 'unreachable'; reason: string };

/**
 * What in a mail proves that it was read: six digits, or where those are guessed at too much a link that approves; or the link
 * to the page on which the code is shown.
 */
export type MailedProof =
  | { kind: 'code'; code: string }
  | { kind: 'link'; approveUrl: string }
  | { kind: 'page'; pageUrl: string };

/** One attempt at a mail may last so long; a worker that died is waited for a little longer. */
export const SEND_DEADLINE_MS = 15_000;

/** One line of what happened; the names in it are others' choice. */
export interface ActivityEntry {
  text: string;
  /** Epoch ms. */
  at: number;
  agentName: string | undefined;
  keyName: string | undefined;
  /** The coarse network it came from; undefined where it was the service itself. */
  origin: string | undefined;
}

/** What leaves by mail. Its kind names its templates, `templates/mail/KIND.txt.eta` and `.html.eta`. */
export type Mail = ClaimCodeMail | SignInMail | SignInLinkMail | NoticeMail | ApprovalMail;

/** The mail that asks a human to vouch for an agent. All of it but `agentName` is ours or proven. */
export interface ClaimCodeMail {
  kind: 'claim-code';
  id: string;
  /** Canonical mailbox. */
  to: string;
  proof: MailedProof;
  /** The page on which the claim is reviewed, and the one on which it is denied. */
  claimUrl: string;
  denyUrl: string;
  /** As the agent wrote it: unverified. */
  agentName: string | undefined;
  mode: ClaimMode;
  scopes: { name: string; description: string }[];
  /** The coarse network that asked. */
  origin: string;
  /** Epoch ms. */
  askedAt: number;
  codeExpiresAt: number;
}

/** The mail by which a human signs in. All of it is ours or proven. */
export interface SignInMail {
  kind: 'sign-in-code';
  id: string;
  /** Canonical mailbox. */
  to: string;
  code: string;
  /** The coarse network that asked. */
  origin: string;
  /** Epoch ms, both. */
  askedAt: number;
  codeExpiresAt: number;
}

/** The same with a link that works once, in place of the code. */
export interface SignInLinkMail extends Omit<SignInMail, 'kind' | 'code'> {
  kind: 'sign-in-link';
  linkUrl: string;
}

/** The mail that tells the owner of an account what happened to it. */
export interface NoticeMail {
  kind: 'notice';
  id: string;
  /** Canonical mailbox. */
  to: string;
  /** Oldest first. */
  happened: ActivityEntry[];
  /** How many more there are. */
  more: number;
}

/** The mail that asks a human to let an agent of the Agent Auth Protocol in. The agent's texts are unverified. */
export interface ApprovalMail {
  kind: 'agent-approval';
  id: string;
  /** Canonical mailbox. */
  to: string;
  agentName: string;
  /** The page on which it is reviewed, by whoever is signed in as this mailbox. */
  pageUrl: string;
  /** Turns it away; a page that asks first. */
  denyUrl: string;
  bindingMessage: string | undefined;
  /** Whether its human refused some of it before. */
  askedAgain: boolean;
  /** The coarse network that asked. */
  origin: string;
  /** Epoch ms, both. */
  askedAt: number;
  codeExpiresAt: number;
}

/** Hands mail over. Never throws: what happened is its answer. */
export interface Mailer {
  send(mail: Mail): Promise<Delivery>;
  /** Whether the mail server can be reached and lets us in; undefined where there is none. */
  check(): Promise<Error | undefined>;
  close(): void;
}

/** One message as it leaves. */
export interface Message {
  id: string;
  to: string;
  subject: string;
  text: string;
  html: string;
}
