import { createPublicKey } from 'node:crypto';
import { ACCEPT_JSON, asObject, type Json, readJson } from './documents.ts';
import { type Finding, failed, hint, passed, shown } from './finding.ts';
import type { ProbeClient } from './probe-client.ts';

const NAME = 'jwks_uri';
/** Members that are secret (RFC 7518 section 6): parts of a private key, and `k`, a shared key. */
const SECRET_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'];

/** Examines the keys with which others verify what the service signs (RFC 7517). */
export async function examineKeySet(client: ProbeClient, url: string): Promise<Finding[]> {
  const read = readJson(NAME, url, await client.get(url, ACCEPT_JSON), 'Serve a JWK Set (RFC 7517) there.');
  if (read.kind !== 'read') return [read.finding];
  const { keys } = read.document;
  const fix = 'Serve {"keys": […]} with at least one public key.';
  if (!Array.isArray(keys) || keys.length === 0) {
    return [failed(NAME, `its keys are not there: ${shown(keys)}`, fix)];
  }
  const all = keys.map(asObject);
  if (all.some((key) => key === undefined)) return [failed(NAME, 'a key in it is no object', fix)];
  return [read.finding, examineKeys(all as Json[])];
}

function examineKeys(keys: Json[]): Finding {
  const name = 'keys of jwks_uri';
  const leaked = keys.findIndex((key) => SECRET_MEMBERS.some((member) => member in key));
  if (leaked >= 0) {
    const message = `key ${leaked + 1} is published with its private part: anybody can sign as the service`;
    return failed(name, message, 'Replace the key now, and serve the public members alone.');
  }
  const unreadable = keys.findIndex((key) => !isReadable(key));
  if (unreadable >= 0) {
    const message = `key ${unreadable + 1} (${shown(keys[unreadable]!.kty)}) cannot be read`;
    return failed(name, message, 'Serve each key as RFC 7518 section 6 has it.');
  }
  const ids = keys.map((key) => key.kid);
  const fix = 'Give each key a "kid" of its own, and put it into what is signed.';
  if (new Set(ids).size < ids.length) return failed(name, 'two keys cannot be told apart by "kid"', fix);
  if (ids.includes(undefined)) return hint(name, 'a key has no "kid"', fix);
  return passed(
    name,
    `${keys.length === 1 ? 'one public key' : `${keys.length} public keys`}, ${shown(ids)}`,
  );
}

/** Reports whether a key can be imported. Keys of unknown types pass, because they cannot be examined. */
function isReadable(key: Json): boolean {
  if (typeof key.kty !== 'string') return false;
  if (!['RSA', 'EC', 'OKP'].includes(key.kty)) return true;
  try {
    createPublicKey({ key, format: 'jwk' });
    return true;
  } catch {
    return false;
  }
}
