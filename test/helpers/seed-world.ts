import { readFileSync } from 'node:fs';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { type Settings, startMcpServer } from '../../examples/mcp-server/server.ts';
import { startWith } from './configured-service.ts';
import { freePort } from './free-port.ts';
import type { Engine, TestService } from './service.ts';
import { addTreeApi, openPlaces } from './workspaces.ts';

/** A service with one of the configurations of examples/, and the example of an MCP server as that product. */

export type SeedWorld = Awaited<ReturnType<typeof openSeed>>;

/** Settings of the MCP server; `path` is where its endpoint is. */
type ExampleSettings = Partial<Settings> & { path?: string };

/** @param seed the name of the configuration @param file members over it */
export async function openSeed(
  engine: Engine,
  seed: 'apphub' | 'stable-baseline' | 'tiny-command',
  settings: ExampleSettings = {},
  file: object = {},
) {
  const path = new URL(`../../examples/${seed}.config.json`, import.meta.url);
  const on = await startWith({ ...JSON.parse(readFileSync(path, 'utf8')), ...file }, {}, engine);
  const { url, api, workspaces, stop } = await startExample(on, settings);
  return {
    on,
    api,
    url,
    workspaces,
    places: openPlaces(() => on),
    connect: (credential: string) => connectSdk(url, credential),
    /** Sends one message without the SDK. */
    send: (credential: string | undefined, message: object, headers: Record<string, string> = {}) =>
      sendRaw(url, credential, message, headers),
    async stop() {
      await stop();
      await on.stop();
    },
  };
}

/** Starts the example of an MCP server beside a service, as an API that understands workspaces. */
export async function startExample(on: TestService, settings: ExampleSettings = {}) {
  const { path = '/mcp', ...rest } = settings;
  const port = await freePort();
  const url = `http://localhost:${port}${path}`;
  const api = await addTreeApi(on, url);
  const own = { issuer: on.url, resource: url, clientId: api.id, clientSecret: api.secret, port };
  return { url, api, ...(await startMcpServer({ ...own, ...rest })) };
}

export type SdkClient = Awaited<ReturnType<typeof connectSdk>>;

/** Connects the official SDK with a key or token. */
export async function connectSdk(url: string, credential: string) {
  const transport = new StreamableHTTPClientTransport(new URL(url), {
    requestInit: { headers: { Authorization: `Bearer ${credential}` } },
  });
  const client = new Client({ name: 'test', version: '1' });
  await client.connect(transport as never);
  const ask = async (name: string, args: Record<string, unknown> = {}) =>
    (await client.callTool({ name, arguments: args })) as { isError?: boolean; content: { text: string }[] };

  /** What a tool answers. @throws Error if it is refused, or fails */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  async function call(name: string, args: Record<string, unknown> = {}): Promise<any> {
    const { isError, content } = await ask(name, args);
    if (isError) throw new Error(content[0]!.text);
    return JSON.parse(content[0]!.text);
  }

  /** `ok`; `failed` if the tool ran and could not do it; otherwise the reason of the refusal, or its code. */
  async function outcome(name: string, args: Record<string, unknown> = {}): Promise<string> {
    try {
      return (await ask(name, args)).isError ? 'failed' : 'ok';
    } catch (error) {
      const { code, data, message } = error as { code?: number; data?: { reason?: string }; message: string };
      return data?.reason ?? /"reason":"(\w+)"/.exec(message)?.[1] ?? String(code ?? message);
    }
  }

  return { client, transport, call, outcome, close: () => client.close() };
}

async function sendRaw(
  url: string,
  credential: string | undefined,
  message: object,
  headers: Record<string, string>,
) {
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      'Content-Type': 'application/json',
      Accept: 'application/json, text/event-stream',
      Connection: 'close',
      'MCP-Protocol-Version': '2025-06-18',
      ...(credential !== undefined && { Authorization: `Bearer ${credential}` }),
      ...headers,
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, ...message }),
  });
  const text = await response.text();
  // The SDK's transport may answer as a stream of one event.
  const body = JSON.parse(/^data: (.*)$/m.exec(text)?.[1] ?? text);
  return { status: response.status, headers: response.headers, body };
}
