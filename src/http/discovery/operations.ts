import type { Deps } from '../../deps.ts';
import { type Operation, operation, type Route, type Row, row } from '../server/table.ts';
import { createDocuments } from './documents.ts';

/**
 * Creates the operations that serve the documents of documents.ts.
 *
 * @param described the routes of the OpenAPI document
 */
export function createDocumentOperations(deps: Deps, described: readonly Route[]) {
  const documentAt = createDocuments(deps, described);
  const operations = {
    /** Serves the document at one fixed path. */
    document: (path: string, summary: string): Operation<'anyone'> =>
      operation({ caller: 'anyone', open: true, summary, handle: async () => (await documentAt(path))! }),

    /**
     * Serves one document per audience.
     *
     * @param pathOf maps the wildcard part of the request path to the path of the document
     */
    documents(summary: string, pathOf: (audience: string) => string): Operation<'anyone'> {
      const documentFor = ({ path = '' }: Record<string, string>) => documentAt(pathOf(path));
      return operation({
        caller: 'anyone',
        open: true,
        summary,
        exists: async (params) => (await documentFor(params)) !== undefined,
        handle: async ({ params }) => (await documentFor(params))!,
      });
    },
  };
  const { document, documents } = operations;
  return {
    ...operations,

    /**
     * Creates the rows of one kind of server metadata: at its path, and before and after the path of an audience. Some
     * clients append the path to an issuer that they write with a trailing slash.
     */
    serverMetadata: (server: string): Row[] => [
      row('GET', server, 'anyone', undefined, document(server, 'RFC 8414')),
      row('GET', `/${server}`, 'anyone', undefined, document(`/${server}`, 'RFC 8414')),
      row(
        'GET',
        `${server}/*path`,
        'anyone',
        undefined,
        documents('RFC 8414', (path) => `${server}/${path}`),
      ),
      row(
        'GET',
        `/*path${server}`,
        'anyone',
        undefined,
        documents('RFC 8414', (path) => `/${path}${server}`),
      ),
    ],
  };
}
