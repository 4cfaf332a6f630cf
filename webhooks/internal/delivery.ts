/** What else a verified delivery says about itself: whom it is for, how old it is, whether it is only a test. */

import { Refusal } from "../answers.ts";
import { invalidField, type LifecycleEvent } from "./event.ts";

/** Refuses a delivery for another extension. */
export function checkExtension(event: LifecycleEvent, extensionId: string): void {
  if (event.meta.extensionId === extensionId) return;
  throw new Refusal(
    "ERR_WRONG_EXTENSION",
    "Reading the body of a webhook: it is for another extension than the one configured here",
  );
}

/** Refuses a delivery that was created longer ago than `maxAgeMs`. */
export function checkAge(event: LifecycleEvent, maxAgeMs: number): void {
  const createdAt = Date.parse(event.request.createdAt);
  if (Number.isNaN(createdAt)) throw invalidField("request.createdAt");
  if (Date.now() - createdAt <= maxAgeMs) return;
  throw new Refusal(
    "ERR_DELIVERY_TOO_OLD",
    `Checking the age of a webhook: it was created more than ${maxAgeMs} ms ago`,
  );
}

/**
 * Whether a delivery is a dry run. The query of the request is not signed and proxies drop it, the URL in the body is
 * signed; either makes it one. (The worst that somebody between sender and receiver gains by adding it to the query is
 * what dropping the delivery would have gained as well.)
 */
export function isDryRun(event: LifecycleEvent, requestUrl: string): boolean {
  return [requestUrl, event.request.target.url].some((url) => {
    // By hand: the URL in the body may be relative or otherwise unusual, and must not be a reason to refuse.
    const query = /^[^?#]*\?([^#]*)/.exec(url)?.[1] ?? "";
    return new URLSearchParams(query).getAll("dry-run").includes("true");
  });
}
