import Database from 'better-sqlite3';
import Provider, { type AdapterPayload, errors } from 'oidc-provider';

/**
 * oidc-provider as its documents set it up, on better-sqlite3 with every commit synced, on PORT: what the service's own token
 * endpoint is compared with. Environment: DATABASE, a file; CLIENT_ID, CLIENT_SECRET and RESOURCE of the one client.
 */
const { PORT = '', DATABASE = '', CLIENT_ID = '', CLIENT_SECRET = '', RESOURCE = '' } = process.env;

const db = new Database(DATABASE);
db.pragma('journal_mode = WAL');
db.pragma('synchronous = FULL');
db.exec(`CREATE TABLE states (model TEXT, id TEXT, payload TEXT NOT NULL, expires_at INTEGER, consumed_at INTEGER,
  PRIMARY KEY (model, id)) WITHOUT ROWID`);
const upsert = db.prepare(`INSERT INTO states (model, id, payload, expires_at) VALUES (?, ?, ?, ?)
  ON CONFLICT (model, id) DO UPDATE SET payload = excluded.payload, expires_at = excluded.expires_at`);
const find = db.prepare('SELECT payload FROM states WHERE model = ? AND id = ? AND expires_at > ?');
const consume = db.prepare(
  'UPDATE states SET consumed_at = ? WHERE model = ? AND id = ? AND consumed_at IS NULL',
);
const destroy = db.prepare('DELETE FROM states WHERE model = ? AND id = ?');

class Adapter {
  readonly #model: string;
  constructor(model: string) {
    this.#model = model;
  }
  async upsert(id: string, payload: AdapterPayload, seconds: number): Promise<void> {
    upsert.run(this.#model, id, JSON.stringify(payload), Date.now() + seconds * 1000);
  }
  async find(id: string): Promise<AdapterPayload | undefined> {
    const row = find.get(this.#model, id, Date.now()) as { payload: string } | undefined;
    return row && (JSON.parse(row.payload) as AdapterPayload);
  }
  async consume(id: string): Promise<void> {
    if (consume.run(Date.now(), this.#model, id).changes !== 1) throw new errors.InvalidGrant('used');
  }
  async destroy(id: string): Promise<void> {
    destroy.run(this.#model, id);
  }
  async findByUid(): Promise<undefined> {}
  async findByUserCode(): Promise<undefined> {}
  async revokeByGrantId(): Promise<undefined> {}
}

const provider = new Provider(`http://localhost:${PORT}`, {
  adapter: Adapter,
  clients: [
    {
      client_id: CLIENT_ID,
      client_secret: CLIENT_SECRET,
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
    },
  ],
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: () => ({
        scope: 'read write',
        audience: RESOURCE,
        accessTokenFormat: 'opaque',
        accessTokenTTL: 600,
      }),
    },
  },
});
provider.listen(Number(PORT), '127.0.0.1');
