import { NOT_SHOWN, type SettingInForce } from '../../../config/settings.ts';
import { listPublishedKeys } from '../../../domain/credentials/signing-keys.ts';
import { maskMailbox } from '../../../lib/mailbox.ts';
import { CONSOLE } from '../../../lib/page-paths.ts';
import { operation, type Row, row } from '../../server/table.ts';
import type { Pages } from '../pages.ts';
import { showConsole } from './show.ts';

export function settingsRows(pages: Pages): Row[] {
  return [row('GET', CONSOLE.settings, 'operator', undefined, settingsPage(pages))];
}

/** GET /console/settings: the settings in force and where each comes from, and the signing keys. */
function settingsPage(pages: Pages) {
  return operation({
    caller: 'operator',
    summary: 'The settings in force',
    async handle({ deps, caller }) {
      const { environment, file } = deps.config.inForce;
      return showConsole(pages, caller, 'settings', 'settings', {
        environment: environment.map(present),
        file: file.map(present),
        signingKeys: await listPublishedKeys(deps),
      });
    },
  });
}

/** Prepares a setting for the template: no secret is in it, nor an operator's address in full. */
function present({ name, value, from }: SettingInForce) {
  const isHidden = value === NOT_SHOWN;
  const isMasked = name.toLowerCase() === 'operators' && value !== undefined;
  return {
    name,
    isHidden,
    isDefault: from === 'default',
    from,
    value: isMasked ? String(value).split(', ').map(maskMailbox).join(', ') : value,
  };
}
