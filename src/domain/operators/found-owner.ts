import { maskMailbox } from '../../lib/mailbox.ts';

/** The human behind an agent or a key, as operators see them: the mailbox is masked. */
export interface FoundOwner {
  id: string;
  mailbox: string;
}

/** @returns undefined if there is none, or the account was deleted */
export function toFoundOwner(row: {
  ownerId: string | null;
  ownerMailbox: string | null;
}): FoundOwner | undefined {
  const { ownerId: id, ownerMailbox } = row;
  return id === null || ownerMailbox === null ? undefined : { id, mailbox: maskMailbox(ownerMailbox) };
}
