/** `mstudio`: a simulated mStudio in the terminal. */

import process from "node:process";
import { stripVTControlCharacters } from "node:util";
import type { Delivery } from "../testing/delivery.ts";
import { DeliveryError } from "../errors.ts";
import type { SimulatedInstance } from "../testing/simulated_instance.ts";
import { SimulatedMstudio } from "../testing/simulator.ts";
import { UsageError } from "./errors.ts";
import { serveLocally } from "./http_server.ts";
import { flag, httpUrl, port, readOptions, text } from "./options.ts";
import { count, stdout, styled } from "./output.ts";
import { onSignals } from "./signals.ts";

/** Where the API is unless told otherwise: applications are configured for it. */
const DEFAULT_PORT = 8001;
const DEFAULT_EXTENSION_ID = "my-extension";
const DEFAULT_EXTENSION_SECRET = "my-extension-secret";
const LOCAL_ORIGIN = /^https?:\/\/(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/;
/** So much is shown of what is not in the usual form, in characters. */
const SHOWN = 200;

export const help =
  `A simulated mStudio, for local work without a tunnel: adds an instance, updates it, rotates its
secret and removes it, and shows what the extension answers.

Usage: mitthooks-drizzle mstudio --target URL [--forge] [--keep] [--serve PORT] [--extension-id ID]

Options:
  --target URL          the extension's webhooks, for example http://localhost:8000/webhooks
  --forge               also sends a webhook with a forged signature, which has to be refused
  --keep                does not remove the instance at the end
  --serve PORT          goes on serving the API, on this port, until Ctrl-C; the removal comes then
  --extension-id ID     the extension's id; default: the variable EXTENSION_ID, or ${DEFAULT_EXTENSION_ID}

It also serves what the extension needs of mittwald's API, public keys, access tokens and the
instance, on http://localhost:${DEFAULT_PORT} unless --serve names another port. The extension has to ask there:

  new MittwaldPublicKeys({ apiUrl: process.env.MITTWALD_API_URL })   as publicKeys of the handler
  new InstanceTokens({ storage, apiUrl: process.env.MITTWALD_API_URL })
  new MstudioSessions({ extensionId, storage, extensionSecret, apiUrl: process.env.MITTWALD_API_URL })

Start it with MITTWALD_API_URL=http://localhost:${DEFAULT_PORT}; without the variable all of them ask mittwald.
The API is gone when the command ends. It ends by itself, unless --serve is given.

GET /session-token there answers with a session token for the instance's page, as text; ?userId=ada
and ?scopes=a,b say whose. The extension's secret is that of the variable EXTENSION_SECRET, or
${DEFAULT_EXTENSION_SECRET}.

The exit status is 0 only if every answer was as expected: 2xx, and 4xx for the forged webhook.
`;

export async function run(args: readonly string[]): Promise<number> {
  const { target, forge, keep, serve, ...given } = await readOptions(args, {
    target: httpUrl,
    forge: flag,
    keep: flag,
    serve: port,
    "extension-id": text,
  });
  if (!target) throw new UsageError("give the address: --target http://localhost:8000/webhooks");
  const extensionId = given["extension-id"] || process.env["EXTENSION_ID"] || DEFAULT_EXTENSION_ID;
  // One attempt each: what is wrong here is not cured by waiting.
  const simulator = await SimulatedMstudio.create({
    extensionId,
    extensionSecret: process.env["EXTENSION_SECRET"] || DEFAULT_EXTENSION_SECRET,
    target,
    maxAttempts: 1,
  });
  const instance = simulator.instance({ context: { kind: "project" } });
  const server = await serveLocally(
    async (request) => await answerSessionToken(request, instance) ?? await simulator.api(request),
    serve ?? DEFAULT_PORT,
  );
  const report = new Report(`http://localhost:${server.port}`, extensionId);
  const interruption = new AbortController();
  const { signal } = interruption;
  // Until the end: npx and bunx send a signal on that the terminal has sent to this program, too.
  const ignoreSignals = onSignals((status) => interruption.abort(status));
  const deliver = async (event: string, send: () => Promise<unknown>) => {
    await send().catch((error) => {
      if (!(error instanceof DeliveryError)) throw error;
    });
    report.add(event, simulator.deliveries.at(-1)!);
  };
  try {
    stdout.line(`target     ${target}`);
    stdout.line(
      `API        ${report.apiUrl}, the extension needs MITTWALD_API_URL=${report.apiUrl}`,
    );
    stdout.line(`extension  ${extensionId}`);
    stdout.line(`instance   ${instance.id}`);
    stdout.line();
    await deliver("added", () => instance.add());
    // All else would fail for the same reason.
    if (report.failed) return report.end();
    const change = { consentedScopes: ["project:read"], variantKey: "basic" };
    const forged = () =>
      simulator.deliverOnce(instance.event("SecretRotated", { secret: "forged" }), { forge: true });
    const steps = [
      () => deliver("updated", () => instance.update(change)),
      () => deliver("rotated", () => instance.rotateSecret()),
      ...forge ? [() => deliver("forged", forged)] : [],
    ];
    for (const step of steps) if (!signal.aborted) await step();
    // What ends it in the middle must not leave the instance behind.
    const early = signal.aborted;
    if (serve !== undefined && !report.failed && !early) {
      stdout.line();
      stdout.line(`A session token for its page: curl ${report.apiUrl}/session-token`);
      stdout.line(`Serving the API on ${report.apiUrl}; Ctrl-C ends it`);
      if (!signal.aborted) {
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
      }
    }
    if (!keep) await deliver("removed", () => instance.remove());
    const status = report.end();
    return early ? signal.reason as number : status;
  } finally {
    ignoreSignals();
    await server.close();
    await simulator.close();
  }
}

/** A token for the instance's page, where the request asks for one. */
async function answerSessionToken(
  { method, url, headers }: Request,
  instance: SimulatedInstance,
): Promise<Response | undefined> {
  const { pathname, searchParams } = new URL(url);
  if (pathname !== "/session-token" || method !== "GET") return undefined;
  const token = await instance.sessionToken({
    userId: searchParams.get("userId") ?? undefined,
    scopes: searchParams.get("scopes")?.split(","),
  });
  const origin = headers.get("origin") ?? "";
  return new Response(token, {
    headers: {
      "cache-control": "no-store",
      // Pages that are worked on, which other servers of this machine deliver.
      ...LOCAL_ORIGIN.test(origin) && { "access-control-allow-origin": origin },
    },
  });
}

/** Shows the responses and counts those that are as expected. */
class Report {
  #asExpected = 0;
  #total = 0;
  readonly #hints = new Set<string>();

  constructor(readonly apiUrl: string, readonly extensionId: string) {}

  get failed(): boolean {
    return this.#asExpected < this.#total;
  }

  add(event: string, { status, responseBody, error, failure }: Delivery): void {
    const expected = event === "forged" ? 4 : 2;
    const good = status !== undefined && Math.floor(status / 100) === expected;
    this.#total++;
    if (good) this.#asExpected++;
    const { code, message } = parseBody(responseBody ?? "");
    const shown = status === undefined
      ? `no answer  ${failure === "timed-out" ? "none came in time" : reasonOf(error ?? failure)}`
      : [status, code, message].filter(Boolean).join("  ");
    stdout.line(`${event.padEnd(9)}  `, styled(good ? "green" : "red", shown));
    const hint = good ? undefined : this.#hint(event, status, code ?? failure);
    if (hint !== undefined) this.#hints.add(hint);
  }

  /** Shows the result and returns the exit status. */
  end(): number {
    const result = `${this.#asExpected} of ${count(this.#total, "answer")} as expected`;
    stdout.line();
    stdout.line(styled(this.failed ? "red" : "green", result));
    for (const hint of this.#hints) stdout.line(hint);
    return this.failed ? 1 : 0;
  }

  #hint(event: string, status = 0, code = ""): string | undefined {
    const { apiUrl, extensionId } = this;
    if (event === "forged") {
      return status > 0 && status < 300
        ? "A forged webhook was accepted: the extension does not check signatures"
        : undefined;
    }
    if (code === "timed-out") {
      return "The extension did not answer within the 6 seconds that mittwald waits";
    }
    if (status === 0) return "Is the extension running, and is --target its address?";
    if (code === "" && (status === 404 || status === 405)) {
      return "Is the path of --target that of the extension's webhooks?";
    }
    if (code === "ERR_PUBLIC_KEY_UNAVAILABLE" || code === "ERR_SIGNATURE_INVALID") {
      return `Does the extension ask ${apiUrl} for public keys? Start it with ` +
        `MITTWALD_API_URL=${apiUrl}, and give that to MittwaldPublicKeys as apiUrl`;
    }
    if (code === "ERR_WRONG_EXTENSION") {
      return `The webhooks are for the extension ${JSON.stringify(extensionId)}: give ` +
        "--extension-id what the extension has, or set EXTENSION_ID for both";
    }
    return code === "ERR_STORAGE_FAILED" || code === "ERR_HANDLER_FAILED"
      ? "The response does not tell the cause: give the extension's webhook handler an onError " +
        "that logs error.cause"
      : undefined;
  }
}

/** Code and message of this package's responses; the text of others. */
function parseBody(body: string): { code?: string; message: string } {
  try {
    const { code, message } = JSON.parse(body) as { code?: unknown; message?: unknown };
    if (typeof code === "string" && typeof message === "string") {
      return { code: oneLine(code), message: oneLine(message) };
    }
  } catch {
    // Some other response.
  }
  return { message: oneLine(body) };
}

/** One line, of limited length. */
function oneLine(text: string): string {
  const line = stripVTControlCharacters(text).replaceAll(/[\p{Cc}\s]+/gu, " ").trim();
  return line.length > SHOWN ? `${line.slice(0, SHOWN)}…` : line;
}

function reasonOf(error: unknown): string {
  if (typeof error === "string") return error;
  // What fetch throws says little; its cause, where there is one, tells more.
  const { message, cause } = (error ?? {}) as { message?: string; cause?: unknown };
  const { message: inner, code } = (cause ?? {}) as { message?: string; code?: string };
  return oneLine(inner || code || message || "the connection failed");
}
