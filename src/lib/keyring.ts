import { createCipheriv, createDecipheriv, createSecretKey, hkdfSync, timingSafeEqual } from 'node:crypto';
import { sha256 } from './hash.ts';
import type { Random } from './random.ts';

/**
 * The service secrets (setting SECRET), newest first, and what is derived from them. New work uses the newest secret. What an
 * older secret signed or sealed is still accepted while that secret is listed (S-110).
 */
export interface Keyring {
  /** Identifies the newest secret. It is stored beside what is derived from the secret, and reveals nothing of it. */
  currentId: string;
  /** Derives 32 bytes for one purpose from a secret; undefined if that secret is no longer listed. */
  derive(secretId: string, purpose: string, context: string): Buffer | undefined;
  /** Derives 32 bytes for one purpose from each listed secret, newest first. */
  deriveAll(purpose: string): Buffer[];
  /** Computes a MAC of a text for one purpose, under the newest secret: 160 bits, in base64url. */
  sign(purpose: string, text: string): string;
  /** Reports whether `sign` made the MAC for this purpose and text, under any listed secret. */
  verify(purpose: string, text: string, mac: string): boolean;
  /** Encrypts for one purpose under the newest secret (AES-256-GCM). open() needs the same `context`. */
  seal(purpose: string, context: string, plain: string): Buffer;
  /** Decrypts; undefined if the secret is no longer listed, purpose or context differs, or a bit was changed. */
  open(purpose: string, context: string, sealed: Uint8Array): string | undefined;
}

const ID_BYTES = 8;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const MAC_BYTES = 20;

/** Creates a keyring. @param secrets at least 32 bytes each, newest first */
export function createKeyring(secrets: readonly Buffer[], random: Random): Keyring {
  // As key objects: hkdfSync would otherwise create one at each call.
  const byId = new Map(secrets.map((secret) => [secretId(secret), createSecretKey(secret)]));
  const currentId = secretId(secrets[0]!);

  function derive(id: string, purpose: string, context: string): Buffer | undefined {
    const secret = byId.get(id);
    if (secret === undefined) return undefined;
    return Buffer.from(hkdfSync('sha256', secret, sha256(context), `vouchsafe/${purpose}`, 32));
  }

  function computeMac(id: string, purpose: string, text: string): string {
    return derive(id, `mac/${purpose}`, text)!.subarray(0, MAC_BYTES).toString('base64url');
  }

  return {
    currentId,
    derive,
    deriveAll: (purpose) => [...byId.keys()].map((id) => derive(id, purpose, '')!),

    sign: (purpose, text) => computeMac(currentId, purpose, text),

    verify(purpose, text, mac) {
      const presented = Buffer.from(mac);
      return [...byId.keys()].some((id) => {
        const expected = Buffer.from(computeMac(id, purpose, text));
        return presented.length === expected.length && timingSafeEqual(presented, expected);
      });
    },

    seal(purpose, context, plain) {
      const nonce = random(NONCE_BYTES);
      const cipher = createCipheriv('aes-256-gcm', derive(currentId, purpose, context)!, nonce);
      const text = Buffer.concat([cipher.update(plain, 'utf8'), cipher.final()]);
      return Buffer.concat([Buffer.from(currentId, 'hex'), nonce, cipher.getAuthTag(), text]);
    },

    open(purpose, context, sealed) {
      const bytes = Buffer.from(sealed);
      const id = secretIdOf(bytes);
      const key = derive(id, purpose, context);
      if (key === undefined) return undefined;
      const nonce = bytes.subarray(ID_BYTES, ID_BYTES + NONCE_BYTES);
      const tag = bytes.subarray(ID_BYTES + NONCE_BYTES, ID_BYTES + NONCE_BYTES + TAG_BYTES);
      try {
        // With an explicit length, a truncated tag is rejected. Otherwise only the bytes that it has are compared.
        const options = { authTagLength: TAG_BYTES };
        const decipher = createDecipheriv('aes-256-gcm', key, nonce, options).setAuthTag(tag);
        const text = decipher.update(bytes.subarray(ID_BYTES + NONCE_BYTES + TAG_BYTES));
        return Buffer.concat([text, decipher.final()]).toString('utf8');
      } catch {
        return undefined;
      }
    },
  };
}

/** Returns the id of the secret that a text was sealed under. */
export function secretIdOf(sealed: Uint8Array): string {
  return Buffer.from(sealed).subarray(0, ID_BYTES).toString('hex');
}

function secretId(secret: Buffer): string {
  return Buffer.from(hkdfSync('sha256', secret, '', 'vouchsafe/secret-id', ID_BYTES)).toString('hex');
}
