/** A database, an application with webhooks, and a simulated mStudio with its API and faults. */

import { drizzle } from "drizzle-orm/postgres-js";
import postgres from "postgres";
import { createWebhookHandler, PgExtensionStorage } from "../../mod.ts";
import type { PgExtensionStorageOptions } from "../../pg/mod.ts";
import {
  type CompareOptions,
  compareWithMstudio,
  type Comparison,
  repair,
  type RepairOptions,
} from "../../recovery/mod.ts";
import { clock } from "../../recovery/internal/waiting.ts";
import { SimulatedMstudio, type SimulatedMstudioOptions } from "../../testing/mod.ts";
import {
  extensionInstanceDdl,
  extensionInstances,
  lastEventDdl,
  lastEvents,
} from "../support/extension_instance.ts";
import { createDatabase } from "../../tools/postgres/databases.ts";

export const EXTENSION_ID = "my-extension";

/** Answers a request instead of the simulated mStudio, or passes it on. */
export type Fault = (
  request: Request,
  answer: () => Promise<Response>,
) => Response | undefined | Promise<Response | undefined>;

export type Settings = Partial<SimulatedMstudioOptions> & {
  readonly on?: PgExtensionStorageOptions["on"];
};

/** Runs with recovery's clock this many times faster. */
export async function hurried<T>(factor: number, run: () => Promise<T>): Promise<T> {
  const { now, setTimeout } = clock;
  clock.now = () => now() * factor;
  clock.setTimeout = (run, ms) => setTimeout(run, ms / factor);
  try {
    return await run();
  } finally {
    Object.assign(clock, { now, setTimeout });
  }
}

/** An application that accepts every webhook and stores nothing. */
export const takes = (): Response => new Response();

/** A test's world: both sides and the means to change them. */
export async function setUp({ on, ...options }: Settings = {}) {
  const database = await createDatabase();
  const sql = postgres(database.url, { max: 8, onnotice: () => {} });
  await sql.unsafe(extensionInstanceDdl + lastEventDdl);
  const storage = new PgExtensionStorage(drizzle(sql), extensionInstances, {
    lastEvents,
    ...on && { on },
  } as PgExtensionStorageOptions<typeof extensionInstances>);
  const handle = (request: Request) => application(request);
  const mstudio = await SimulatedMstudio.create({
    extensionId: EXTENSION_ID,
    target: handle,
    newSecretRefusedMs: 0,
    backoff: { initialMs: 10, maxMs: 50 },
    ...options,
  });
  const running = createWebhookHandler({
    storage,
    extensionId: EXTENSION_ID,
    publicKeys: mstudio.publicKeys,
  });
  let application: (request: Request) => Response | Promise<Response> = running;
  let fault: Fault = () => undefined;
  /** Method and path of each request to the API. */
  const asked: string[] = [];
  const fetch = async (input: RequestInfo | URL, init?: RequestInit) => {
    const request = new Request(input, init);
    asked.push(`${request.method} ${new URL(request.url).pathname}`);
    const answer = () => Promise.resolve(mstudio.api(request.clone()));
    const response = await fault(request, answer) ?? await answer();
    // The global fetch rejects as well when it is aborted before its answer has come.
    request.signal.throwIfAborted();
    return response;
  };
  const access = { storage, apiToken: mstudio.apiToken, fetch };
  return {
    database,
    sql,
    storage,
    mstudio,
    access,
    asked,
    /** Passes a webhook on to the application. */
    handle,
    /** Starts or stops the application. Default: the library's handler. */
    serve: (other: (request: Request) => Response | Promise<Response> = running) =>
      application = other,
    fail: (other: Fault = () => undefined) => fault = other,
    /** Does something once: after the first request with a text was served, before its answer. */
    afterFirst(part: string, then: () => unknown) {
      fault = async ({ method, url }, answer) => {
        if (!`${method} ${url}`.includes(part)) return;
        fault = () => undefined;
        const response = await answer();
        await then();
        return response;
      };
    },
    compare: (options: Partial<CompareOptions> = {}) =>
      compareWithMstudio({ ...access, extensionId: EXTENSION_ID, ...options }),
    repair: (comparison: Comparison, options: Partial<RepairOptions> = {}) =>
      repair(comparison, { ...access, ...options }),
    async addInstances(count: number) {
      const instances = Array.from({ length: count }, () => mstudio.instance());
      // Few at once, so that the application does not refuse deliveries.
      for (let start = 0; start < count; start += 20) {
        await Promise.all(instances.slice(start, start + 20).map((instance) => instance.add()));
      }
      return instances;
    },
    /** The stored rows without their times. */
    rows: async (): Promise<Record<string, unknown>[]> => [
      ...await sql`SELECT id, "contextId", context, active, variant_key, consented_scopes, secret IS NOT NULL AS has_secret
        FROM extension_instance ORDER BY id`,
    ],
    async [Symbol.asyncDispose]() {
      await mstudio.close();
      await sql.end();
      await database.drop();
    },
  };
}
