/** What the tests of tokens share: a storage in memory, and an API that does as it is told. */

import { InstanceTokens, type InstanceTokensOptions } from "@wais/mitthooks-drizzle/tokens";

export const ID = "instance-1";

/** A storage of secrets that counts how often it is read. */
export class Secrets {
  readonly rows: Map<string, { secret: string | null }> = new Map();
  reads = 0;

  constructor(secret: string = "first") {
    this.rows.set(ID, { secret });
  }

  set(secret: string | null, id: string = ID): void {
    this.rows.set(id, { secret });
  }

  async getExtension(id: string): Promise<{ secret: string | null } | undefined> {
    this.reads += 1;
    await Promise.resolve();
    return this.rows.get(id);
  }
}

/** A request as the API got it. */
export interface Received {
  readonly url: string;
  readonly init: RequestInit;
  readonly secret: string;
}

export type Answer = (received: Received, count: number) => Response | Promise<Response>;

/** A token of the given lifetime, by the API's clock. */
export function issued(
  publicToken: string,
  { lifetimeMs = 3_600_000, clock = undefined as number | undefined } = {},
): Response {
  const now = clock ?? Date.now();
  return Response.json({ publicToken, expiry: new Date(now + lifetimeMs).toISOString() }, {
    status: 201,
    headers: clock === undefined ? {} : { date: new Date(clock).toUTCString() },
  });
}

/** Tokens whose API is a function, which by default hands out a new token for each request. */
export function tokensOf(
  answer: Answer = ({ secret }, count) => issued(`token-${count}-of-${secret}`),
  options: Partial<InstanceTokensOptions> = {},
): { tokens: InstanceTokens; secrets: Secrets; received: Received[] } {
  const secrets = new Secrets();
  const received: Received[] = [];
  const fetch = async (input: RequestInfo | URL, init: RequestInit = {}) => {
    const { extensionInstanceSecret } = JSON.parse(String(init.body));
    received.push({ url: String(input), init, secret: extensionInstanceSecret });
    return await answer(received.at(-1)!, received.length);
  };
  const tokens = new InstanceTokens({ storage: secrets, fetch, timeoutMs: 20_000, ...options });
  return { tokens, secrets, received };
}

export { poll as until } from "../support/postgres.ts";

/** A promise to be resolved from outside. */
export function gate(): { readonly opened: Promise<void>; open(): void } {
  let open!: () => void;
  const opened = new Promise<void>((resolve) => open = resolve);
  return { opened, open };
}

export const refuse = (status = 403): Response => new Response(null, { status });
