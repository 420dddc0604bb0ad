import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from '../helpers/suite.ts';

const FOLDER = new URL('../../db/migrations/', import.meta.url);

/** SHA-256 of each published migration, by file name. Lines are added at the end and never changed. */
const PUBLISHED: Record<string, string> = {
  '0001_first.sql': 'b8153895dcdd6e8379d723e4959f6d11f1c3a441242f20343d4952fa7ab98d75',
  '0002_claim_page.sql': 'e5f832ea919cdbb448ef8575cde2f0316cdc789960ea8356b8c01f0eec3a7145',
  '0003_sessions.sql': 'b7e1944a5092eb0e369f0d15a24007e3fb56b998478e819d318491bedf8f004d',
  '0004_own_things.sql': 'a8fc7d510b8235054f5c76bfde64e350f56d0797ed022c8b9ea035c56d086b6f',
  '0005_resource_events.sql': '2a79d82f0eec7955230b6af7338318018ecb99ec86de02492066d7b6957ffa1f',
  '0006_identity_assertions.sql': '1f814ebaeb2ffd22b15c29346e3728106a74cbc8b9896340a5003d90e24364a8',
  '0007_agent_protocol.sql': '6e8e9da9f0f4fa6963709d6fdf3012bba0d1f73f3aa69765260b8e2a53d22a30',
  '0008_growing_tables.sql': '6428bc46bfb8795e9e35ee9c03131bbd5c8c1154e1ecda561b68662747198f7b',
  '0009_refused_capabilities.sql': 'b54116f4eeaa263adc013b7a0baa8a8f04b6cbe301a938848e81263d77653135',
  '0010_sign_in_links.sql': '93a23ea54bd3476b0a2f0b13151cc493395cf42f660781ca91e6d0d2926ad3c1',
  '0011_clock_mark.sql': 'e509a34fa565d322e8ca6358ccf25de0fdf62fbe21d973eb8d749557ebf5fd26',
  '0012_secret_marks.sql': '148d57df2da8e342547a79109b7733ee956ffe009b8f6e3b5c4303a40e91a6e2',
  '0013_event_positions.sql': '264a13091976a9f564432806e984bd1fa2bf26a60bc85f982fd84325fac7ad45',
  '0014_claim_scopes.sql': 'd6e25948858dea6ebdeac6e162162dead00e6f11d41fd66b57c6f05ff33ddf8d',
  '0015_locales.sql': 'a0c2f0616ee1d06433a5c34b3cfad7d24c698a1ac3d81b710265af415a19852d',
  '0016_console.sql': 'a5527a039755f44da098e3f53211268d2a1ed739018dcc747ec3adfd9eee5622',
  '0017_console_lists.sql': '1ba1b731d851d081b1a2fd912b9ba514d6ec45dbb202d86b9eaed541d2be4e42',
  '0018_lists.sql': '1bf2c7bd0656072164d547f6779307c2fb52850bce0a7d7fa2d38bb54ac13a8d',
  '0019_oauth.sql': '44f4b4b9d6c7cb42f884ffa5258473a44ae91e8c18ac97dd1377137158752ac9',
  '0020_asserted_consents.sql': '3f589e5f2129dd8d01a73be59cd7faf37f91b57bb0b67c1899aed21dc89598df',
  '0021_workspaces.sql': '198753d61b593ae4d2f88fd4bea0826c9c5872bd11720d9ebb33ba7613ff8ae3',
  '0022_oauth_clients.sql': '547585d6aa07e183e6cb9f4975ba433b7faa5cae403c35693492a9a59ea940ce',
  '0023_owner_columns.sql': '0e5d619bea4309d3d2327d0003a314d79b38c1dba26d710de87f16dee8984d4b',
  '0024_owners.sql': '3c55a7b10dbb5c58ae3ebe1796f9992eaf9fddac40901230b6eed1934bad7db4',
  '0025_ended_places.sql': '85726bc59d798b241cfbcbda0554403fabf03237719931eb64926694adeb8232',
  '0026_operators_in_workspaces.sql': '0dc35a6135ff74bd1fadb532993cf03472c2342821c8546b99c3efa5e03b6366',
  '0027_link_requests.sql': 'acfb037faf10e4e6b66b827ccb64083feb6ba7d37d340411e6066494a075446f',
  '0028_event_indexes.sql': '14a69924c63413218c2c3add8d5d323ae7394b0a38ab04cca7874ad59b54b8f5',
  '0029_permissions.sql': '1b5402aa254994e0a88f767f9e51a6fa645ac9f54ee20285cb9e6a0f1a0c2914',
  '0030_account_names.sql': 'af2454ef54d951b59825da9f86f3fcf6b3f3d19aa2fe0fa8a24cba9e86dc5aeb',
};

test('no published migration is changed, renamed or removed, and each new one is in the list', (t) => {
  const found = readdirSync(FOLDER)
    .sort()
    .map((name) => [
      name,
      createHash('sha256')
        .update(readFileSync(new URL(name, FOLDER)))
        .digest('hex'),
    ]);
  t.deepEqual(found, Object.entries(PUBLISHED));
});
