import type { Happening } from '../domain/event-texts.ts';
import type { MailedProof } from '../domain/outbox.ts';
import type { ClaimMode } from '../store/registrations.ts';

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
  happened: Happening[];
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
