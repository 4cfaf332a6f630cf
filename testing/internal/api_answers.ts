/**
 * What the answers of the API have in common.
 *
 * @module
 */

import type { ApiContext } from "./api_context.ts";

/** An answer that says what is wrong. */
export function problem(
  status: number,
  message: string,
  headers: Record<string, string> = {},
): Response {
  return Response.json({ message }, { status, headers });
}

/** The fields of a request's JSON body; none where it is no JSON. */
export async function fieldsOf(request: Request): Promise<Readonly<Record<string, unknown>>> {
  const body: unknown = await request.json().catch(() => undefined);
  return (body ?? {}) as Readonly<Record<string, unknown>>;
}

/** Who asks. `instance`: the instance itself, or a user in its page. */
export type Caller =
  | { readonly kind: "contributor" }
  | { readonly kind: "instance"; readonly id: string };

/** Who a request's access token is valid for. */
export function callerOf({ settings, register }: ApiContext, request: Request): Caller | undefined {
  const bearer = /^Bearer (.*)$/i.exec(request.headers.get("authorization") ?? "")?.[1];
  const token = request.headers.get("x-access-token") ?? bearer ?? "";
  if (token === settings.apiToken) return { kind: "contributor" };
  const id = register.instanceOfToken(token) ??
    register.sessionOfToken(token)?.extensionInstanceId;
  return id === undefined ? undefined : { kind: "instance", id };
}

/** What is wrong with who asks, for what only the contributor may do. */
export function refuseOthers(context: ApiContext, request: Request): Response | undefined {
  switch (callerOf(context, request)?.kind) {
    case "contributor":
      return undefined;
    case "instance":
      return problem(403, "The access token is not that of a contributor");
    default:
      return problem(401, "The access token is not valid");
  }
}
