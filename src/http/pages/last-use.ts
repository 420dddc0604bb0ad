/** When a key or an agent was last used, and where. */
export interface LastUse {
  /** Epoch ms. */
  at: number;
  /** The coarse network, or the name of the resource server that a key was presented to; undefined: not noted. */
  from: string | undefined;
}

/** Prepares a last use for a template. @param from as it was noted: a network carries the English word before it */
export function presentLastUse(at: number, from: string | null | undefined): LastUse {
  return { at, from: from?.replace(/^network /, '') };
}
