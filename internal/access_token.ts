/** Access tokens in the answers of mittwald's API. */

/**
 * Lower bound of a token's lifetime, even if it has expired by every clock: without it, each call
 * would make a request while the API keeps returning the same token. `Date` headers have a
 * resolution of one second.
 */
const MIN_LIFETIME_MS = 1_000;

/** Visible ASCII: the token becomes a header's value (RFC 9110, section 5.5). */
const TOKEN = /^[\x21-\x7e]+$/;

/** An access token with its expiry. */
export interface AccessToken {
  readonly token: string;
  /** By the API's clock, in milliseconds since 1970. */
  readonly expiry: number;
  /** The answer's `Date` header: the API's time, up to a second behind. */
  readonly answeredAt: number | undefined;
}

/** Reads an answer; `undefined` if it has no usable token. */
export function readAccessToken(
  { json, headers }: { readonly json: unknown; readonly headers: Headers },
): AccessToken | undefined {
  const { publicToken, expiry } = (json ?? {}) as Record<string, unknown>;
  if (typeof publicToken !== "string" || !TOKEN.test(publicToken)) return undefined;
  const expiresAt = typeof expiry === "string" ? parseTime(expiry) : NaN;
  if (Number.isNaN(expiresAt)) return undefined;
  const answeredAt = Date.parse(headers.get("date") ?? "");
  return {
    token: publicToken,
    expiry: expiresAt,
    answeredAt: Number.isNaN(answeredAt) ? undefined : answeredAt,
  };
}

/** ISO 8601; a time without a zone is UTC, not the machine's time zone. */
function parseTime(text: string): number {
  const lacksZone = /T[\d:.,]+$/i.test(text);
  return Date.parse(lacksZone ? `${text}Z` : text);
}

/**
 * The token's lifetime in milliseconds, counted from its request. The token expires by the API's
 * clock, so counting from the answer's `Date` is best; but both that `Date` and our clock can be
 * wrong. The API never returns an expired token, so a clock by which it has expired is ignored. Of
 * the rest, the shorter lifetime wins.
 *
 * @param requestedAt When the token was requested, by our clock, in milliseconds since 1970.
 */
export function lifetimeOf({ expiry, answeredAt = NaN }: AccessToken, requestedAt: number): number {
  const possible = [expiry - requestedAt, expiry - answeredAt].filter((ms) => ms > 0);
  return possible.length === 0 ? MIN_LIFETIME_MS : Math.max(MIN_LIFETIME_MS, Math.min(...possible));
}
