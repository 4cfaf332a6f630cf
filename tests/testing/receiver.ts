/** A receiver that judges every delivery by mitthooks' own schemas and mitthooks' own signature check. */

import { NoopLogger } from "@weissaufschwarz/mitthooks/logging/noopLogger";
import { webhookSchema } from "@weissaufschwarz/mitthooks/schemas";
import type { PublicKeyProvider } from "@weissaufschwarz/mitthooks/verification/publicKeys";
import { WebhookVerifier } from "@weissaufschwarz/mitthooks/verification/verify";
import type { LifecycleKind, LifecyclePayload } from "@wais/mitthooks-drizzle/testing";

export async function isSigned(
  publicKeys: PublicKeyProvider,
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

const SHORT_KINDS: Readonly<Record<string, LifecycleKind>> = {
  ExtensionInstanceUpdated: "InstanceUpdated",
  ExtensionInstanceSecretRotated: "SecretRotated",
  ExtensionInstanceRemovedFromContext: "InstanceRemovedFromContext",
};

/** Reads a payload as strictly as mitthooks can: a field its schemas don't know is an error as well. */
export function parsePayload(rawBody: string): LifecyclePayload {
  const body = JSON.parse(rawBody);
  // mitthooks knows the short spelling only.
  const payload = { ...body, kind: SHORT_KINDS[body.kind] ?? body.kind };
  for (const schema of webhookSchema.options) {
    const parsed = schema.strict().safeParse(payload);
    if (parsed.success) return parsed.data as LifecyclePayload;
  }
  throw new TypeError(`Reading a payload: no schema fits ${rawBody}`);
}

/** What the receiver got. Not the request itself: a server's is void once it is answered. */
export interface Received {
  readonly payload: LifecyclePayload;
  readonly kind: string;
  readonly signed: boolean;
  readonly method: string;
  readonly url: string;
  readonly headers: Headers;
}

export type Answer = (received: Received) => Response | Promise<Response>;

export const ok: Answer = () => new Response(null, { status: 204 });

/** A handler that keeps what it gets, refuses what is not signed, and answers all else as it is told. */
export class Receiver {
  readonly received: Received[] = [];
  publicKeys: PublicKeyProvider | undefined;
  answer: Answer;

  constructor(answer: Answer = ok) {
    this.answer = answer;
  }

  readonly handle = async (request: Request): Promise<Response> => {
    const { method, url } = request;
    const headers = new Headers(request.headers);
    const rawBody = await request.text();
    const signed = await isSigned(this.publicKeys!, headers, rawBody);
    const { kind } = JSON.parse(rawBody);
    const received = { payload: parsePayload(rawBody), kind, signed, method, url, headers };
    this.received.push(received);
    return signed
      ? await this.answer(received)
      : Response.json({ code: "ERR_SIGNATURE_INVALID" }, { status: 401 });
  };
}

export { poll as until } from "../support/postgres.ts";

/** A promise to be resolved from outside. */
export function gate(): { readonly opened: Promise<void>; open(): void } {
  let open!: () => void;
  const opened = new Promise<void>((resolve) => open = resolve);
  return { opened, open };
}
