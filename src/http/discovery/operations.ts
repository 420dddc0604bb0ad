import type { Deps } from '../../deps.ts';
import { type Operation, operation, type Route } from '../server/table.ts';
import { createDocuments } from './documents.ts';

/**
 * Makes the operations that serve the documents of documents.ts.
 *
 * @param described the routes of the OpenAPI document
 */
export function createDocumentOperations(deps: Deps, described: readonly Route[]) {
  const documentAt = createDocuments(deps, described);
  return {
    /** The document at one path. */
    document: (path: string, summary: string): Operation<'anyone'> =>
      operation({ caller: 'anyone', open: true, summary, handle: async () => (await documentAt(path))! }),

    /** Those of the audiences. @param pathOf where that of an audience's path is */
    documents(summary: string, pathOf: (audience: string) => string): Operation<'anyone'> {
      const at = ({ path = '' }: Record<string, string>) => documentAt(pathOf(path));
      return operation({
        caller: 'anyone',
        open: true,
        summary,
        exists: async (params) => (await at(params)) !== undefined,
        handle: async ({ params }) => (await at(params))!,
      });
    },
  };
}
