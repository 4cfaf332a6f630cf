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

/** The API's port unless MITTWALD_API_URL, which applications read as well, has another one. */
const DEFAULT_PORT = 8001;
const DEFAULT_EXTENSION_ID = "my-extension";
const DEFAULT_EXTENSION_SECRET = "my-extension-secret";
const LOCAL_ORIGIN = /^https?:\/\/(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/;
/** Length limit in characters for texts of other servers. */
const SHOWN = 200;

export const help =
  `A simulated mStudio for local development without a tunnel: adds an instance, updates it, rotates
its secret and removes it, and shows the extension's answers.

Usage: mitthooks-drizzle mstudio --target URL [--forge] [--keep] [--serve PORT] [--extension-id ID]

Options:
  --target URL          the extension's webhooks, for example http://localhost:8000/webhooks
  --forge               also sends a webhook with a forged signature, which must be refused
  --keep                does not remove the instance at the end
  --serve PORT          keeps serving the API on this port until Ctrl-C, then removes the instance
  --extension-id ID     the extension's id; default: the variable EXTENSION_ID, or ${DEFAULT_EXTENSION_ID}

It also serves the part of mittwald's API that the extension needs, public keys, access tokens and
the instance, on the port of MITTWALD_API_URL if that is http://localhost:PORT, else on ${DEFAULT_PORT}, unless
--serve sets another one. Point the extension at it:

  new MittwaldPublicKeys({ apiUrl: process.env.MITTWALD_API_URL })   as publicKeys of the handler
  new InstanceTokens({ storage, apiUrl: process.env.MITTWALD_API_URL })
  new MstudioSessions({ extensionId, storage, extensionSecret, apiUrl: process.env.MITTWALD_API_URL })

Start it with MITTWALD_API_URL=http://localhost:${DEFAULT_PORT}; without the variable, all of them call mittwald.
The API stops when the command ends. The command ends by itself unless --serve is given.

GET /session-token answers with a session token for the instance's page, as text; ?userId=ada and
?scopes=a,b set its claims. The extension's secret is the variable EXTENSION_SECRET, or
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
  if (!target) {
    throw new UsageError("give the webhooks' address: --target http://localhost:8000/webhooks");
  }
  const extensionId = given["extension-id"] || process.env["EXTENSION_ID"] || DEFAULT_EXTENSION_ID;
  // One attempt each: waiting fixes nothing here.
  const simulator = await SimulatedMstudio.create({
    extensionId,
    extensionSecret: process.env["EXTENSION_SECRET"] || DEFAULT_EXTENSION_SECRET,
    target,
    maxAttempts: 1,
  });
  const instance = simulator.instance({ context: { kind: "project" } });
  const server = await serveLocally(
    async (request) => await answerSessionToken(request, instance) ?? await simulator.api(request),
    serve ?? localPortOf(process.env["MITTWALD_API_URL"]) ?? DEFAULT_PORT,
  );
  const report = new Report(`http://localhost:${server.port}`, extensionId);
  const interruption = new AbortController();
  const { signal } = interruption;
  // Listens until the end: npx and bunx repeat the terminal's signal.
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
    // The rest would fail for the same reason.
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
    // An interruption must not leave the instance behind.
    const early = signal.aborted;
    if (serve !== undefined && !report.failed && !early) {
      stdout.line();
      stdout.line(`Session token for its page: curl ${report.apiUrl}/session-token`);
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

/** Answers a request for a session token of the instance's page. */
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
      // Pages in development are served by other local servers.
      ...LOCAL_ORIGIN.test(origin) && { "access-control-allow-origin": origin },
    },
  });
}

/** The port in an HTTP address of this machine. */
function localPortOf(address = ""): number | undefined {
  const url = URL.canParse(address) ? new URL(address) : undefined;
  const isLocal = url?.protocol === "http:" && LOCAL_ORIGIN.test(url.origin);
  return isLocal && Number(url.port) || undefined;
}

/** Shows the responses and counts the expected ones. */
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
      return "Is the path of --target correct?";
    }
    if (code === "ERR_PUBLIC_KEY_UNAVAILABLE" || code === "ERR_SIGNATURE_INVALID") {
      return `Does the extension fetch public keys from ${apiUrl}? Start it with ` +
        `MITTWALD_API_URL=${apiUrl}, and pass it to MittwaldPublicKeys as apiUrl`;
    }
    if (code === "ERR_WRONG_EXTENSION") {
      return `The webhooks are for the extension ${JSON.stringify(extensionId)}: give ` +
        "the extension's id as --extension-id, or set EXTENSION_ID for both";
    }
    return code === "ERR_STORAGE_FAILED" || code === "ERR_HANDLER_FAILED"
      ? "The response does not show the cause: give the extension's webhook handler an onError " +
        "that logs error.cause"
      : undefined;
  }
}

/** Code and message of this package's responses; the whole text of others. */
function parseBody(body: string): { code?: string; message: string } {
  try {
    const { code, message } = JSON.parse(body) as { code?: unknown; message?: unknown };
    if (typeof code === "string" && typeof message === "string") {
      return { code: oneLine(code), message: oneLine(message) };
    }
  } catch {
    // Another response.
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
  // The message of fetch's error says little; its cause says more.
  const { message, cause } = (error ?? {}) as { message?: string; cause?: unknown };
  const { message: inner, code } = (cause ?? {}) as { message?: string; code?: string };
  return oneLine(inner || code || message || "the connection failed");
}
