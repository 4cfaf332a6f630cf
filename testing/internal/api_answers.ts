/**
 * Helpers for the API's answers.
 *
 * @module
 */

import type { ApiContext } from "./api_context.ts";

/** An error response. */
export function problem(
  status: number,
  message: string,
  headers: Record<string, string> = {},
): Response {
  return Response.json({ message }, { status, headers });
}

/** The fields of a request's JSON body; none if it is not JSON. */
export async function fieldsOf(request: Request): Promise<Readonly<Record<string, unknown>>> {
  const body: unknown = await request.json().catch(() => undefined);
  return (body ?? {}) as Readonly<Record<string, unknown>>;
}

/** The caller. `instance`: the instance itself, or a user on its page. */
export type Caller =
  | { readonly kind: "contributor" }
  | { readonly kind: "instance"; readonly id: string };

/** Identifies the caller by the request's access token. */
export function callerOf({ settings, register }: ApiContext, request: Request): Caller | undefined {
  const bearer = /^Bearer (.*)$/i.exec(request.headers.get("authorization") ?? "")?.[1];
  const token = request.headers.get("x-access-token") ?? bearer ?? "";
  if (token === settings.apiToken) return { kind: "contributor" };
  const id = register.instanceOfToken(token) ??
    register.sessionOfToken(token)?.extensionInstanceId;
  return id === undefined ? undefined : { kind: "instance", id };
}

/** Refuses callers other than the contributor. */
export function refuseOthers(context: ApiContext, request: Request): Response | undefined {
  switch (callerOf(context, request)?.kind) {
    case "contributor":
      return undefined;
    case "instance":
      return problem(403, "The access token does not belong to a contributor");
    default:
      return problem(401, "The access token is invalid");
  }
}
