/** What most tests need. */

let made = 0;

/** A mailbox that no other test of this process uses. @param name with which it begins */
export const newMailbox = (name = 'human') => `${name}${++made}@example.com`;

/** The header of somebody who holds a key. */
export const bearer = (key: string) => ({ Authorization: `Bearer ${key}` });

/** Runs all at once, and gives the answers in the order of asking. */
export function atOnce<Item>(count: number, ask: (index: number) => Promise<Item>): Promise<Item[]> {
  return Promise.all(Array.from({ length: count }, (_, index) => ask(index)));
}

/** How often each answer came. @param short an answer in short, such as `410 otp_expired` */
export function tallyBy<Reply>(
  replies: readonly Reply[],
  short: (reply: Reply) => string,
): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const reply of replies) counts[short(reply)] = (counts[short(reply)] ?? 0) + 1;
  return counts;
}
