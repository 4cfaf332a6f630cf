/**
 * The simulated part of mittwald's API.
 *
 * @module
 */

import { problem } from "./api_answers.ts";
import type { ApiCall, ApiContext } from "./api_context.ts";
import { answerPublicKey } from "./api_public_keys.ts";
import {
  answerExecutions,
  answerExtension,
  answerInstance,
  answerInstances,
  answerRotation,
} from "./api_instances.ts";
import { answerInstanceToken, answerSessionToken, answerUserToken } from "./api_tokens.ts";

type Answer = (context: ApiContext, call: ApiCall) => Response | Promise<Response>;

const INSTANCE = "/v2/extension-instances/{id}";

/** The routes by path and method. */
const ROUTES: readonly (readonly [RegExp, Readonly<Record<string, Answer>>])[] = [
  route("/v2/public-keys/{serial}", { GET: answerPublicKey }),
  route("/v2/authenticate-session-token", { POST: answerUserToken }),
  route("/v2/extensions/{id}", { GET: answerExtension }),
  route("/v2/extension-instances", { GET: answerInstances }),
  route(INSTANCE, { GET: answerInstance }),
  route(`${INSTANCE}/tokens`, { POST: answerInstanceToken }),
  route(`${INSTANCE}/sessions/{session}`, { POST: answerSessionToken }),
  route("/v2/contributors/{id}/webhook-executions", { GET: answerExecutions }),
  route("/v2/contributors/{id}/extensions/{id}/extension-instances/{id}/secret", {
    PUT: answerRotation,
  }),
];

function route(path: string, answers: Readonly<Record<string, Answer>>) {
  return [new RegExp(`^${path.replaceAll(/\{\w+\}/g, "([^/]+)")}$`), answers] as const;
}

/** Answers a request. */
export async function answerApiRequest(context: ApiContext, request: Request): Promise<Response> {
  const { pathname, searchParams } = new URL(request.url);
  for (const [path, answers] of ROUTES) {
    const parameters = decoded(path.exec(pathname));
    if (parameters === undefined) continue;
    const answer = Object.hasOwn(answers, request.method) ? answers[request.method] : undefined;
    if (answer) return await answer(context, { request, query: searchParams, parameters });
    // The application may answer other methods.
    if (context.settings.api === undefined) return wrongMethod(Object.keys(answers).join(", "));
  }
  return await context.settings.api?.(request) ?? problem(404, "There is nothing here");
}

/** Decodes the values of a route's parameters. */
function decoded(match: RegExpExecArray | null): string[] | undefined {
  try {
    return match?.slice(1).map(decodeURIComponent);
  } catch {
    return undefined;
  }
}

function wrongMethod(allowed: string): Response {
  return problem(405, `Only ${allowed} is answered here`, { Allow: allowed });
}
