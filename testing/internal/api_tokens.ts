/**
 * Access tokens and session tokens in the API.
 *
 * @module
 */

import type { ApiCall, ApiContext } from "./api_context.ts";
import { fieldsOf, problem, refuseOthers } from "./api_answers.ts";

/**
 * `POST /v2/extension-instances/{id}/tokens`: exchanges an instance's secret for its access token.
 */
export async function answerInstanceToken(
  { register }: ApiContext,
  { request, parameters }: ApiCall,
): Promise<Response> {
  const [id = ""] = parameters;
  const { extensionInstanceSecret: secret } = await fieldsOf(request);
  if (typeof secret !== "string") return problem(400, "extensionInstanceSecret is missing");
  const issued = register.issueToken(id, secret);
  if (issued === "unknown") return problem(404, "No instance has this id");
  if (issued === "refused") return problem(403, "The secret is invalid");
  return Response.json(issued, { status: 201 });
}

/**
 * `POST /v2/authenticate-session-token`: exchanges a session token and the extension's secret for
 * the user's access token.
 */
export async function answerUserToken(
  { settings, register, sessionTokens }: ApiContext,
  { request }: ApiCall,
): Promise<Response> {
  const { sessionToken, extensionSecret } = await fieldsOf(request);
  if (typeof sessionToken !== "string") return problem(400, "sessionToken is missing");
  const session = await sessionTokens.read(sessionToken);
  if (session?.extensionId !== settings.extensionId) {
    return problem(400, "The session token is invalid");
  }
  const entry = register.find(session.extensionInstanceId);
  if (entry?.removed !== "no") return problem(404, "No instance has this id");
  const isFree = session.authenticatableWithoutSecret === true && extensionSecret === undefined;
  if (!isFree && extensionSecret !== settings.extensionSecret) {
    return problem(403, "The extension's secret is invalid");
  }
  if (!entry.state.state.enabled) return problem(403, "The instance is disabled");
  const { userId, sessionId, extensionInstanceId, scopes } = session;
  const holder = { userId, sessionId, extensionInstanceId, scopes };
  return Response.json(register.issueUserToken(holder), { status: 201 });
}

/**
 * `POST /v2/extension-instances/{id}/sessions/{sessionId}`: makes a session token, as for mStudio
 * itself.
 */
export async function answerSessionToken(
  context: ApiContext,
  { request, parameters }: ApiCall,
): Promise<Response> {
  const [id = "", sessionId] = parameters;
  const refusal = refuseOthers(context, request);
  if (refusal) return refusal;
  const entry = context.register.find(id);
  if (entry === undefined) return problem(404, "No instance has this id");
  return Response.json({
    sessionToken: await context.sessionTokens.make(entry.state, { sessionId }),
  });
}
