import type { Deps } from '../../deps.ts';
import { type Audience, listAudiences } from '../../domain/audiences/audience.ts';
import { PATHS } from '../server/paths.ts';
import type { Route } from '../server/table.ts';
import { renderAuthMd } from './auth-md-document.ts';
import { renderLlmsTxt } from './llms-txt.ts';
import {
  agentConfiguration,
  authorizationServer,
  authorizationServerPaths,
  type Document,
  jsonDocument,
  openidConfiguration,
  protectedResources,
} from './metadata.ts';
import { createOpenApi } from './openapi.ts';

/** The public documents. All are rendered from the configuration, the route table and one list of audiences. */

/** How long the documents may be stale: another process can change the list of audiences. */
const FRESH_MS = 1000;

/**
 * Creates the documents, and renders them again when an audience changes, so that all of them name it within a
 * second. While the database is unavailable, they name the last known audiences.
 *
 * @param described the routes of the OpenAPI document
 * @returns a function from a path to its document; undefined if the path has none
 */
export function createDocuments(
  deps: Deps,
  described: readonly Route[],
): (path: string) => Promise<Document | undefined> {
  let audiences: readonly Audience[] = deps.config.resources;
  let documents = render(deps, audiences);
  // The OpenAPI document is rendered when it is asked for: it takes a tenth of the time of a start.
  let renderOpenApi: ReturnType<typeof createOpenApi> | undefined;
  let openApi: Document | undefined;
  let readAt = Number.NEGATIVE_INFINITY;
  let refreshing: Promise<void> | undefined;

  async function refresh(): Promise<void> {
    try {
      const listed = await listAudiences(deps);
      if (JSON.stringify(listed) !== JSON.stringify(audiences)) {
        documents = render(deps, listed);
        openApi = undefined;
      }
      audiences = listed;
    } catch (error) {
      deps.log.warn(
        { err: error },
        'the list of audiences could not be read; the documents name the last known',
      );
    }
    readAt = performance.now();
    refreshing = undefined;
  }

  return async (path) => {
    if (performance.now() - readAt > FRESH_MS) {
      refreshing ??= refresh();
      await refreshing;
    }
    if (path !== PATHS.openapi) return documents.get(path);
    renderOpenApi ??= createOpenApi(deps.config, described);
    openApi ??= jsonDocument(renderOpenApi(audiences));
    return openApi;
  };
}

function render({ config }: Deps, audiences: readonly Audience[]): Map<string, Document> {
  const server = jsonDocument(authorizationServer(config, audiences));
  const openid = jsonDocument(openidConfiguration(config, audiences));
  return new Map([
    [PATHS.authMd, { type: 'text/markdown; charset=utf-8', text: renderAuthMd(config, audiences) }],
    [PATHS.llmsTxt, { type: 'text/plain; charset=utf-8', text: renderLlmsTxt(config, audiences) }],
    [PATHS.agentConfiguration, jsonDocument(agentConfiguration(config))],
    ...authorizationServerPaths(config, audiences).map((path) => [path, server] as const),
    ...authorizationServerPaths(config, audiences, PATHS.openidConfiguration).map(
      (path) => [path, openid] as const,
    ),
    ...[...protectedResources(config, audiences)].map(
      ([path, content]) => [path, jsonDocument(content)] as const,
    ),
  ]);
}
