// biome-ignore lint/suspicious/noExplicitAny: the shapes of two SDKs
type Any = any;

/** What an app of somebody keeps: the same for both SDKs. */
export function createMemory(redirectUrl = 'http://localhost:33418/callback') {
  const kept: Record<string, Any> = {};
  return {
    kept,
    asked: [] as URL[],
    redirectUrl,
    clientMetadata: {
      client_name: 'SDK app',
      redirect_uris: [redirectUrl],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    },
    state: () => 'the-state',
    clientInformation: () => kept.client,
    saveClientInformation(client: Any) {
      kept.client = client;
    },
    tokens: () => kept.tokens,
    saveTokens(tokens: Any) {
      kept.tokens = tokens;
    },
    saveCodeVerifier(verifier: string) {
      kept.verifier = verifier;
    },
    codeVerifier: () => kept.verifier as string,
    saveDiscoveryState(state: Any) {
      kept.discovery = state;
    },
    discoveryState: () => kept.discovery,
    invalidateCredentials(scope: string) {
      if (scope === 'all' || scope === 'client') delete kept.client;
      if (scope === 'all' || scope === 'tokens') delete kept.tokens;
    },
    redirectToAuthorization(url: URL) {
      this.asked.push(url);
    },
  };
}

export type Memory = ReturnType<typeof createMemory>;
