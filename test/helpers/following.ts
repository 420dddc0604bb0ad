import { VerificationError, type Verifier } from '../../src/resource-server/index.ts';
import { until } from './api.ts';
import { ensure } from './ensure.ts';
import type { TestService } from './service.ts';

/** Verifiers that follow what happens at a service. */

/** Waits until a verifier refuses a credential as invalid. */
export async function untilRefused(verifier: Verifier, credential: string): Promise<void> {
  await until(() =>
    verifier.verify(credential).then(
      () => false,
      (error) => {
        ensure(error instanceof VerificationError && error.code === 'invalid_token', String(error));
        return true;
      },
    ),
  );
}

/** Waits until the stream of a verifier stands: until it is told of something. */
export async function untilFollowing(on: TestService, verifier: Verifier): Promise<void> {
  for (;;) {
    const { credential } = await on.register();
    await verifier.verify(credential);
    await on.form('/oauth2/revoke', { token: credential });
    const isTold = await Promise.race([
      untilRefused(verifier, credential).then(() => true),
      new Promise<boolean>((resolve) => setTimeout(() => resolve(false), 500)),
    ]);
    if (isTold) return;
  }
}
