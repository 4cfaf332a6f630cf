/** Helpers for the tests of tokens: a storage in memory, and an API with given answers. */

import {
  type GetTokenOptions,
  InstanceTokens,
  type InstanceTokensOptions,
} from "@wais/mitthooks-drizzle/tokens";

export const ID = "instance-1";

export interface Received {
  readonly url: string;
  readonly init: RequestInit;
  readonly secret: string;
}

export type Answer = (received: Received, count: number) => Response | Promise<Response>;

/** A token with a lifetime, by the API's clock if that differs from ours. */
export function issued(publicToken: string, lifetimeMs = 3_600_000, clockMs?: number): Response {
  const expiry = new Date((clockMs ?? Date.now()) + lifetimeMs).toISOString();
  const headers = clockMs === undefined ? {} : { date: new Date(clockMs).toUTCString() };
  return Response.json({ publicToken, expiry }, { status: 201, headers });
}

export const refuse = (status = 403): Response => new Response(null, { status });

/** Tokens with a function as API. Default: one that issues a new token per request. */
export function tokensOf(
  answer: Answer = ({ secret }, count) => issued(`token-${count}-of-${secret}`),
  options: Partial<InstanceTokensOptions> = {},
) {
  const secrets = new Map<string, string | null>([[ID, "first"]]);
  /** Further properties of every stored instance. */
  const more: { active?: boolean; createdAt?: Date } = {};
  const received: Received[] = [];
  const calls = { reads: 0 };
  const storage = {
    async getExtension(id: string) {
      calls.reads += 1;
      await Promise.resolve();
      const secret = secrets.get(id);
      return secret === undefined ? undefined : { secret, ...more };
    },
  };
  const fetch = async (input: RequestInfo | URL, init: RequestInit = {}) => {
    const { extensionInstanceSecret } = JSON.parse(String(init.body));
    received.push({ url: String(input), init, secret: extensionInstanceSecret });
    return await answer(received.at(-1)!, received.length);
  };
  const tokens = new InstanceTokens({ storage, fetch, timeoutMs: 20_000, ...options });
  const get = (id = ID, options: GetTokenOptions = {}) => tokens.get(id, options);
  return { tokens, secrets, more, received, calls, get };
}
