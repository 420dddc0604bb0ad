import { ConfigError } from '../errors.ts';
import { DEFAULT_KEY_PREFIX, findPrefixFault, type KeyShape } from '../lib/key-shapes.ts';
import type { ConfigFile } from './file.ts';

/**
 * Reads how keys look.
 *
 * @throws ConfigError for prefixes that another secret could begin with
 */
export function readKeyShapes({ keyBrand, keys }: ConfigFile['service']): {
  /** Of keys that are made now. */
  issued: KeyShape;
  /** Of all that are read. */
  accepted: readonly KeyShape[];
} {
  if (keys === undefined) {
    const brand = keyBrand === '' ? '' : `${keyBrand}_`;
    const read: KeyShape = { prefix: DEFAULT_KEY_PREFIX, form: 'checked' };
    return { issued: { prefix: DEFAULT_KEY_PREFIX + brand, form: 'checked' }, accepted: [read] };
  }
  if (keyBrand !== '') throw new ConfigError('Set "service.keys" or "service.keyBrand", not both.');
  const issued = { prefix: keys.prefix, form: keys.form };
  const previous = keys.previous.map((prefix): KeyShape => {
    return { prefix, form: prefix.startsWith(DEFAULT_KEY_PREFIX) ? 'checked' : 'any' };
  });
  const fault = findPrefixFault(issued, previous);
  if (fault !== undefined) throw new ConfigError(`"service.keys" is wrong: ${fault}`);
  return { issued, accepted: [issued, ...previous] };
}
