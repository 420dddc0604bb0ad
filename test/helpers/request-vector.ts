import type { JWK } from 'jose';

/** A request signed with the key of RFC 8037 appendix A.1: whoever signs the same content gets the same proof. */
export const VECTOR_KEY = {
  kty: 'OKP',
  crv: 'Ed25519',
  x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo',
  d: 'nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A',
} satisfies JWK;

export const VECTOR_THUMBPRINT = 'kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k';

export const VECTOR = {
  kind: 'vouchsafe.auth.request',
  version: 1,
  id: 'prq_Jd7Fds9Pj1yAWVdqgV0lq4rFoFSJUi64',
  service: 'https://id.example.com',
  issued_at: '2026-11-25T10:00:00Z',
  expires_at: '2026-12-02T10:00:00Z',
  requester: { key: { kty: 'OKP', crv: 'Ed25519', x: VECTOR_KEY.x }, name: 'CI bot' },
  permissions: [
    {
      service: 'vouchsafe.api',
      space: 'default',
      path: 'documents/',
      actions: ['list', 'read'],
      reason: 'Nightly index',
    },
  ],
  lifetime_seconds: 604800,
  proof:
    'eyJhbGciOiJFZERTQSIsImtpZCI6ImtQcktfcW14VldhWVZBOXd3QkY2SXVvM3ZWeno3VHhIQ1R3WEJ5Z3JTNGsiLCJ0eXAiOiJ2b3VjaHNhZmUtcmVxdWVzdCtqd3MifQ..t8HnIvSvlGN0xKwrOIUVG3qc1TzylKlWTTK53okPn1yiT547zJnCv_PmmpxYSLCCABinX5HNvmFa4_wUjLxECQ',
} as const;

/** Within its life. */
export const VECTOR_NOW = Date.parse('2026-11-26T10:00:00Z');
