/** Access tokens of mittwald's API, as it answers with them. */

/**
 * How long a token is taken to live at least, however soon it expires, or if it has by every clock: otherwise each call
 * would make a request while the API hands out the same one. `Date` has seconds, so less than one cannot be told anyway.
 */
const MIN_LIFETIME_MS = 1_000;

/** Visible ASCII: the token is going to be the value of a header (RFC 9110, section 5.5). */
const TOKEN = /^[\x21-\x7e]+$/;

/** What the API hands out. */
export interface AccessToken {
  readonly token: string;
  /** When it expires, by the API's clock, in milliseconds. */
  readonly expiry: number;
  /** The API's time when it answered, where it tells it; a second or less behind. */
  readonly answeredAt: number | undefined;
}

/** Reads an answer; `undefined` for what has no token that can be used. */
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

/** ISO 8601; without a zone it is UTC, not the machine's time zone. */
function parseTime(text: string): number {
  const lacksZone = /T[\d:.,]+$/i.test(text);
  return Date.parse(lacksZone ? `${text}Z` : text);
}

/**
 * How long a token lives from its request on. It expires by the API's clock, so its answer's `Date` is what to count
 * from; but a `Date` can be wrong, and so can our clock. Nobody hands out a token that has expired: what says so is
 * wrong. Of the others, the one that says less counts.
 *
 * @param requestedAt By our clock, in milliseconds since 1970.
 */
export function lifetimeOf({ expiry, answeredAt = NaN }: AccessToken, requestedAt: number): number {
  const possible = [expiry - requestedAt, expiry - answeredAt].filter((ms) => ms > 0);
  return possible.length === 0 ? MIN_LIFETIME_MS : Math.max(MIN_LIFETIME_MS, Math.min(...possible));
}
