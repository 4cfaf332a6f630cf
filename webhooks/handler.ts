/**
 * The webhook handler: from a request to an answer.
 *
 * @module
 */

import { WebhookHandlerChain } from "@weissaufschwarz/mitthooks/handler/chain";
import { DeadlineExceededError, HandlerFailedError, StorageError } from "../errors.ts";
import { Refusal, toResponse, type WebhookAnswer } from "./answers.ts";
import { BodyError, readBody } from "./internal/body.ts";
import { Deadline } from "../internal/deadline.ts";
import { checkAge, checkExtension, isDryRun } from "./internal/delivery.ts";
import { codeOf } from "../internal/code_of.ts";
import { type LifecycleEvent, readEvent } from "./internal/event.ts";
import { readOptions, type Settings, type WebhookHandlerOptions } from "./handler_options.ts";
import { parseBody } from "./internal/json.ts";
import { type Outcome, outcomeOfError, report } from "./internal/outcome.ts";
import {
  readSignature,
  type Signature,
  SignatureCheck,
  signatureFields,
} from "./internal/signature.ts";
import { describeDryRun, OPERATION, store } from "./internal/store.ts";

/**
 * Makes the handler of an extension's lifecycle webhooks, for everything that calls handlers with a `Request`:
 * `Deno.serve`, Deno Deploy, `Bun.serve`, Hono, Next.js and TanStack route handlers, Cloudflare Workers.
 *
 * It checks, in this order: the method, the size and the form of the request; the Ed25519 signature over the raw body;
 * that the body is JSON without ambiguities (a name twice in one object, more than 64 levels), and of mitthooks' schema
 * for its kind; the extension's id; the age; whether it is a dry run. Only then it stores, and runs the further
 * handlers. Answers are JSON, a {@linkcode WebhookAnswer}; the README lists them.
 *
 * What is still running when the time limit is reached is left running, a call of the storage for example. Its result
 * is ignored, and the sender delivers again.
 *
 * @param options `storage` and `extensionId` are needed, all others have defaults.
 * @returns The handler. It never rejects, and it can be called any number of times at once.
 * @throws {TypeError} When an option is missing or of the wrong type.
 * @throws {RangeError} When a number is out of its limits.
 *
 * @example Store what is genuine, refuse what is forged
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { SimulatedMstudio } from "@wais/mitthooks-drizzle/testing";
 * import { createWebhookHandler } from "@wais/mitthooks-drizzle/webhooks";
 *
 * await using mstudio = await SimulatedMstudio.create({
 *   extensionId: "my-extension",
 *   target: (request) => handler(request),
 * });
 *
 * const secrets = new Map<string, string>(); // in real life: a PgExtensionStorage
 * const handler = createWebhookHandler({
 *   storage: {
 *     upsertExtension: (added) => void secrets.set(added.extensionInstanceId, added.secret),
 *     updateExtension: () => {},
 *     rotateSecret: (id, secret) => void secrets.set(id, secret),
 *     removeInstance: (id) => void secrets.delete(id),
 *   },
 *   extensionId: "my-extension",
 *   publicKeys: mstudio.publicKeys, // in real life: left out
 * });
 *
 * const instance = await mstudio.addInstance();
 * assertEquals(secrets.get(instance.id), instance.secret);
 *
 * const forged = await mstudio.deliverOnce(instance.event("SecretRotated"), { forge: true });
 * assertEquals(forged.status, 401);
 * ```
 */
export function createWebhookHandler(
  options: WebhookHandlerOptions,
): (request: Request) => Promise<Response> {
  const settings = readOptions(options);
  const signatures = new SignatureCheck(settings.publicKeys);
  return async (request) => {
    const delivery = new Delivery(settings, signatures, request);
    const outcome = await delivery.handle();
    report(settings, request, outcome);
    return toResponse(outcome.answer);
  };
}

/** One delivery on its way through the checks. */
class Delivery {
  readonly #settings: Settings;
  readonly #signatures: SignatureCheck;
  readonly #request: Request;
  readonly #deadline: Deadline;
  #subject: string | undefined;

  constructor(settings: Settings, signatures: SignatureCheck, request: Request) {
    this.#settings = settings;
    this.#signatures = signatures;
    this.#request = request;
    this.#deadline = new Deadline(settings.timeoutMs);
  }

  async handle(): Promise<Outcome> {
    try {
      return { answer: await this.#receive(), subject: this.#subject };
    } catch (error) {
      return outcomeOfError(error, this.#subject);
    } finally {
      this.#deadline.clear();
    }
  }

  async #receive(): Promise<WebhookAnswer> {
    const { extensionId, maxAgeMs } = this.#settings;
    if (this.#request.method !== "POST") {
      throw new Refusal("ERR_METHOD", "Receiving a webhook: the method is not POST");
    }
    const bytes = await this.#readBody();
    const signature = readSignature(signatureFields(this.#request.headers));
    await this.#deadline.run(
      "Checking the signature of a webhook",
      () => this.#signatures.check(signature, bytes),
    );

    const { text, value } = parseBody(bytes);
    const event = readEvent(value);
    this.#subject = `${event.kind} ${JSON.stringify(event.id)}`;
    checkExtension(event, extensionId);
    if (maxAgeMs !== undefined) checkAge(event, maxAgeMs);
    if (isDryRun(event, this.#request.url)) {
      return { code: "DRY_RUN", message: describeDryRun(event) };
    }

    await this.#store(event);
    await this.#runHandlers(text, signature);
    return { code: "STORED", message: `Handling ${event.kind}: done` };
  }

  async #readBody(): Promise<Uint8Array<ArrayBuffer>> {
    const attempt = "Reading the body of a webhook";
    try {
      return await readBody(
        this.#request,
        this.#settings.maxBodyBytes,
        (read) => this.#deadline.run(attempt, read),
      );
    } catch (error) {
      if (!(error instanceof BodyError)) throw error;
      throw new Refusal(
        error.reason === "too large" ? "ERR_BODY_TOO_LARGE" : "ERR_BODY_INVALID",
        `${attempt}: ${error.message}`,
      );
    }
  }

  async #store(event: LifecycleEvent): Promise<void> {
    try {
      await this.#deadline.run("Storing a webhook", () => store(this.#settings.storage, event));
    } catch (error) {
      // By code: the storage may come from another copy of this package.
      if (codeOf(error) === "ERR_UNKNOWN_INSTANCE") {
        throw new Refusal(
          "ERR_UNKNOWN_INSTANCE",
          `Handling ${event.kind}: no instance of this id is stored`,
        );
      }
      if (error instanceof DeadlineExceededError || error instanceof StorageError) throw error;
      // Anything else may have a message that quotes what was to be stored.
      throw new StorageError(OPERATION[event.kind], error);
    }
  }

  async #runHandlers(rawBody: string, signature: Signature): Promise<void> {
    const { handlers } = this.#settings;
    if (handlers.length === 0) return;
    // In a try of its own kind: whatever a handler throws is its failure, the codes of this package included.
    const run = async () => {
      try {
        await new WebhookHandlerChain(...handlers).handleWebhook({
          rawBody,
          signatureSerial: signature.serial,
          signatureAlgorithm: signature.algorithm,
          signature: signature.text,
        });
      } catch (error) {
        throw new HandlerFailedError(error);
      }
    };
    await this.#deadline.run("Running the handlers of a webhook", run);
  }
}
