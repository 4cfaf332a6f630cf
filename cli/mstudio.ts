/** `mstudio`: a simulated mStudio in the terminal. */

import process from "node:process";
import { stripVTControlCharacters } from "node:util";
import { DeliveryError } from "../testing/errors.ts";
import { SimulatedMstudio } from "../testing/simulator.ts";
import type { SimulatedInstance } from "../testing/simulated_instance.ts";
import type { OptionValues } from "./arguments.ts";
import type { Command } from "./command.ts";
import { serveLocally } from "./http_server.ts";
import { count, stdout } from "./output.ts";
import { UsageError } from "./usage_error.ts";

/** Where the API is unless told otherwise: applications are configured for it. */
const DEFAULT_PORT = 8001;
const DEFAULT_EXTENSION_ID = "my-extension";
/** So much is shown of what is not in the usual form, in characters. */
const SHOWN = 200;

const help =
  `A simulated mStudio, for local work without a tunnel: adds an instance, updates it, rotates its
secret and removes it, and shows what the extension answers.

Usage: mitthooks-drizzle mstudio --target URL [--forge] [--keep] [--serve PORT] [--extension-id ID]

Options:
  --target URL          the extension's webhooks, for example http://localhost:8000/webhooks
  --forge               also sends a webhook with a forged signature, which has to be refused
  --keep                does not remove the instance at the end
  --serve PORT          goes on serving the API, on this port, until Ctrl-C; the removal comes then
  --extension-id ID     the extension's id; default: the variable EXTENSION_ID, or ${DEFAULT_EXTENSION_ID}

It also serves what the extension needs of mittwald's API, public keys and access tokens, on
http://localhost:${DEFAULT_PORT} unless --serve names another port. The extension has to ask there:

  new MittwaldPublicKeys({ apiUrl: process.env.MITTWALD_API_URL })   as publicKeys of the handler
  new InstanceTokens({ storage, apiUrl: process.env.MITTWALD_API_URL })

Start it with MITTWALD_API_URL=http://localhost:${DEFAULT_PORT}; without the variable both ask mittwald.
The API is gone when the command ends. It ends by itself, unless --serve is given.

The exit status is 0 only if every answer was as expected: 2xx, and 4xx for the forged webhook.
`;

const options = {
  target: { type: "string" },
  forge: { type: "boolean" },
  keep: { type: "boolean" },
  serve: { type: "string" },
  "extension-id": { type: "string" },
} as const;

/** The command. */
export const mstudio: Command<typeof options> = { help, options, run };

/** What came back. */
interface Answer {
  readonly status: number | undefined;
  readonly body: string | undefined;
  readonly error?: unknown;
}

async function run(given: OptionValues<typeof options>): Promise<number> {
  const target = readTarget(given.target);
  const port = readPort(given.serve);
  const extensionId = given["extension-id"] || process.env["EXTENSION_ID"] || DEFAULT_EXTENSION_ID;
  // One attempt each: what is wrong here is not cured by waiting.
  const simulator = await SimulatedMstudio.create({ extensionId, target, maxAttempts: 1 });
  try {
    const server = await serveLocally(simulator.api, port);
    try {
      const apiUrl = `http://localhost:${server.port}`;
      const tally = new Tally({ apiUrl, extensionId });
      await play(simulator, tally, { ...given, target });
      return tally.end();
    } finally {
      await server.close();
    }
  } finally {
    await simulator.close();
  }
}

/** The life of an instance. */
async function play(
  simulator: SimulatedMstudio,
  tally: Tally,
  { target, forge = false, keep = false, serve }: OptionValues<typeof options>,
): Promise<void> {
  const { apiUrl, extensionId } = tally.known;
  const instance = simulator.instance({ context: { kind: "project" } });
  stdout.line(`target     ${target}`);
  stdout.line(`API        ${apiUrl}, the extension needs MITTWALD_API_URL=${apiUrl}`);
  stdout.line(`extension  ${extensionId}`);
  stdout.line(`instance   ${instance.id}\n`);
  tally.note("added", await attempt(simulator, () => instance.add()));
  // All else would fail for the same reason.
  if (tally.failed) return;
  const change = { consentedScopes: ["project:read"], variantKey: "basic" };
  tally.note("updated", await attempt(simulator, () => instance.update(change)));
  tally.note("rotated", await attempt(simulator, () => instance.rotateSecret()));
  if (forge) {
    const event = instance.event("SecretRotated", { secret: "forged" });
    tally.note("forged", await attemptForgery(simulator, event));
  }
  if (serve !== undefined && !tally.failed) {
    stdout.line(`\nServing the API on ${apiUrl}; Ctrl-C ends it`);
    await interruption();
  }
  if (!keep) tally.note("removed", await attempt(simulator, () => instance.remove()));
}

async function attempt(
  simulator: SimulatedMstudio,
  send: () => Promise<unknown>,
): Promise<Answer> {
  try {
    await send();
  } catch (error) {
    if (!(error instanceof DeliveryError)) throw error;
  }
  const { status, responseBody, error, failure } = simulator.deliveries.at(-1)!;
  return { status, body: responseBody, error: error ?? failure };
}

async function attemptForgery(
  simulator: SimulatedMstudio,
  event: ReturnType<SimulatedInstance["event"]>,
): Promise<Answer> {
  try {
    const response = await simulator.deliverOnce(event, { forge: true });
    return { status: response.status, body: await response.text() };
  } catch (error) {
    if (!(error instanceof DeliveryError)) throw error;
    return { status: undefined, body: undefined, error: error.cause };
  }
}

/** Shows the answers and counts them. */
class Tally {
  #asExpected = 0;
  #total = 0;
  readonly #hints = new Set<string>();

  constructor(readonly known: { readonly apiUrl: string; readonly extensionId: string }) {}

  get failed(): boolean {
    return this.#asExpected < this.#total;
  }

  note(event: string, { status, body, error }: Answer): void {
    const range = event === "forged" ? [400, 499] as const : [200, 299] as const;
    const good = status !== undefined && status >= range[0] && status <= range[1];
    this.#total++;
    if (good) this.#asExpected++;
    const { code, text } = readBody(body);
    const shown = status === undefined
      ? `no answer  ${reasonOf(error)}`
      : [status, code, text].filter((part) => part !== undefined && part !== "").join("  ");
    stdout.line(`${event.padEnd(9)}  ${stdout.style(good ? "green" : "red", shown)}`);
    const hint = good ? undefined : this.#hintFor(event, status, code);
    if (hint !== undefined) this.#hints.add(hint);
  }

  /** The exit status. */
  end(): number {
    const result = `${this.#asExpected} of ${count(this.#total, "answer")} as expected`;
    stdout.line(`\n${stdout.style(this.failed ? "red" : "green", result)}`);
    for (const hint of this.#hints) stdout.line(hint);
    return this.failed ? 1 : 0;
  }

  #hintFor(
    event: string,
    status: number | undefined,
    code: string | undefined,
  ): string | undefined {
    const { apiUrl, extensionId } = this.known;
    if (event === "forged") {
      return status !== undefined && status < 300
        ? "A forged webhook was accepted: the extension does not check signatures"
        : undefined;
    }
    if (status === undefined) return "Is the extension running, and is --target its address?";
    switch (code) {
      case "ERR_PUBLIC_KEY_UNAVAILABLE":
      case "ERR_SIGNATURE_INVALID":
        return `Does the extension ask ${apiUrl} for public keys? Start it with ` +
          `MITTWALD_API_URL=${apiUrl}, and give that to MittwaldPublicKeys as apiUrl`;
      case "ERR_WRONG_EXTENSION":
        return `The webhooks are for the extension ${JSON.stringify(extensionId)}: give ` +
          "--extension-id what the extension has, or set EXTENSION_ID for both";
      case "ERR_STORAGE_FAILED":
      case "ERR_HANDLER_FAILED":
        return "The extension's log has the cause: its webhook handler needs logger or onError";
      default:
        return code === undefined && (status === 404 || status === 405)
          ? "Is the path of --target that of the extension's webhooks?"
          : undefined;
    }
  }
}

function readBody(body: string | undefined): { code?: string; text: string } {
  try {
    const { code, message } = JSON.parse(body ?? "") as { code?: unknown; message?: unknown };
    if (typeof code === "string" && typeof message === "string") {
      return { code: printable(code), text: printable(message) };
    }
  } catch {
    // Some other answer.
  }
  return { text: printable(body ?? "") };
}

/** One line that does nothing to a terminal. */
function printable(text: string): string {
  const line = stripVTControlCharacters(text).replaceAll(/[\p{Cc}\s]+/gu, " ").trim();
  return line.length > SHOWN ? `${line.slice(0, SHOWN)}…` : line;
}

function reasonOf(error: unknown): string {
  if (typeof error === "string") return error;
  // What fetch throws says little; its cause, where there is one, tells more.
  const { message, cause } = (error ?? {}) as { message?: string; cause?: unknown };
  const { message: inner, code } = (cause ?? {}) as { message?: string; code?: string };
  return printable(inner || code || message || "the connection failed");
}

/** Waits for Ctrl-C. */
function interruption(): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      process.off("SIGINT", end);
      process.off("SIGTERM", end);
      resolve();
    };
    process.on("SIGINT", end);
    process.on("SIGTERM", end);
  });
}

function readTarget(text: string | undefined): string {
  if (!text) throw new UsageError("give the address: --target http://localhost:8000/webhooks");
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== "http:" && url?.protocol !== "https:") {
    throw new UsageError("--target is not an HTTP URL");
  }
  return url.href;
}

function readPort(text: string | undefined): number {
  if (text === undefined) return DEFAULT_PORT;
  const port = Number(text);
  if (!/^\d+$/.test(text) || port > 65_535) throw new UsageError("--serve is not a port");
  return port;
}
