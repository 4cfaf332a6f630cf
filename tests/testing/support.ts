/**
 * A simulated mStudio, and a receiver that checks deliveries by mitthooks' schemas and signature
 * check.
 */

import { assertEquals, assertRejects } from "@std/assert";
import { NoopLogger } from "@weissaufschwarz/mitthooks/logging/noopLogger";
import { webhookSchema } from "@weissaufschwarz/mitthooks/schemas";
import { WebhookVerifier } from "@weissaufschwarz/mitthooks/verification/verify";
import {
  DeliveryError,
  type LifecycleEvent,
  SimulatedMstudio,
  type SimulatedMstudioOptions,
} from "@wais/mitthooks-drizzle/testing";
export { ADDED, KINDS, REMOVED, ROTATED, UPDATED } from "../webhooks/support.ts";
export const HOUR_MS = 3_600_000;

export async function isSigned(
  { publicKeys }: SimulatedMstudio,
  headers: Headers,
  rawBody: string,
): Promise<boolean> {
  return await new WebhookVerifier(new NoopLogger(), publicKeys).verify({
    rawBody,
    signatureSerial: headers.get("X-Marketplace-Signature-Serial") ?? "",
    signatureAlgorithm: headers.get("X-Marketplace-Signature-Algorithm") ?? "",
    signature: headers.get("X-Marketplace-Signature") ?? "",
  });
}

/** An event with its request. */
type Payload = LifecycleEvent & {
  readonly request: Record<"id" | "createdAt", string> & {
    readonly target: Record<"method" | "url", string>;
  };
};

/** Reads a payload as strictly as mitthooks can: unknown fields are errors, too. */
export function parsePayload(rawBody: string): Payload {
  const payload = JSON.parse(rawBody);
  for (const schema of webhookSchema.options) {
    const parsed = schema.strict().safeParse(payload);
    if (parsed.success) return parsed.data as Payload;
  }
  throw new TypeError(`Reading a payload: no schema fits ${rawBody}`);
}

/** A received request. A copy, because a server's request is void once it is answered. */
export interface Received {
  readonly payload: Payload;
  readonly kind: string;
  readonly signed: boolean;
  readonly url: string;
  readonly headers: Headers;
}

/** The response, or its status, to signed requests. */
export type Answer = (received: Received) => Response | number | Promise<Response | number>;

export function answers(...list: readonly (Response | number)[]): Answer {
  let next = 0;
  return () => list[next++]!;
}

/**
 * A simulated mStudio whose deliveries are recorded; unsigned ones are refused, others answered as
 * given.
 */
export async function simulate(
  answer: Answer = () => 200,
  options: Partial<SimulatedMstudioOptions> = {},
) {
  const received: Received[] = [];
  const target = async (request: Request): Promise<Response> => {
    const { url } = request;
    const headers = new Headers(request.headers);
    const rawBody = await request.text();
    const signed = await isSigned(mstudio, headers, rawBody);
    const { kind } = JSON.parse(rawBody);
    received.push({ payload: parsePayload(rawBody), kind, signed, url, headers });
    const answered = signed ? await answer(received.at(-1)!) : 401;
    return typeof answered === "number" ? new Response(null, { status: answered }) : answered;
  };
  const mstudio: SimulatedMstudio = await SimulatedMstudio.create({
    extensionId: "e-1",
    target,
    backoff: { initialMs: 1, maxMs: 2 },
    maxAttempts: 5_000, // so that a test that waits in vain ends
    newSecretRefusedMs: 0,
    ...options,
  });
  return { mstudio, received, [Symbol.asyncDispose]: () => mstudio.close() };
}

/** A short form of the log: kind, attempt, outcome, marks. */
export function log({ deliveries }: SimulatedMstudio): string[] {
  return deliveries.map(({ kind, attempt, status, failure, late, replay }) =>
    `${kind} ${attempt} ${status ?? failure}${late ? " late" : ""}${replay ? " replay" : ""}`
  );
}

/** Asserts that deliveries failed, and why. */
export async function assertUndelivered(
  code: string,
  ...promises: Promise<unknown>[]
): Promise<string> {
  let message = "";
  for (const promise of promises) {
    const error = await assertRejects(() => promise, DeliveryError);
    assertEquals(error.code, code);
    message = error.message;
  }
  return message;
}

/** The status with which the API answers a request for a token. */
export async function requestToken(
  { api }: SimulatedMstudio,
  id: string,
  body: BodyInit,
): Promise<Response> {
  const url = `https://api.example/v2/extension-instances/${encodeURIComponent(id)}/tokens`;
  return await api(new Request(url, { method: "POST", body }));
}

/** The status of exchanging a secret for a token: 201, or that of a refusal. */
export async function statusOf(
  mstudio: SimulatedMstudio,
  id: string,
  extensionInstanceSecret: unknown,
): Promise<number> {
  const body = JSON.stringify({ extensionInstanceSecret });
  return (await requestToken(mstudio, id, body)).status;
}
