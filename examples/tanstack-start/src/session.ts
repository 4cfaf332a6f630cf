import { getSessionToken } from "@mittwald/ext-bridge/browser";
import { createMiddleware } from "@tanstack/react-start";
import { getRequest } from "@tanstack/react-start/server";
import { SessionError } from "@wais/mitthooks-drizzle/sessions";
import { clientOfInstance, clientOfUser, sessions } from "./extension.server.ts";

/** mStudio's token for this page; in development outside mStudio, a simulated one. */
async function sessionToken(): Promise<string> {
  const url: string | undefined = import.meta.env.VITE_SESSION_TOKEN_URL;
  return url ? await (await fetch(url)).text() : await getSessionToken();
}

/** Restricts a server function to users in mStudio, and passes their session. */
export const withSession = createMiddleware({ type: "function" })
  .client(async ({ next }) => next({ headers: { "x-session-token": await sessionToken() } }))
  .server(async ({ next }) => {
    const request = getRequest();
    const session = await sessions.verify(request).catch((error) => {
      // The page's call rejects with it.
      throw error instanceof SessionError ? error.toResponse() : error;
    });
    return next({
      context: {
        session,
        asUser: clientOfUser(request),
        asInstance: clientOfInstance(session.extensionInstanceId),
      },
    });
  });
