/** The base URL of mittwald's API. */

/** mittwald's own. */
export const DEFAULT_API_URL = "https://api.mittwald.de";

/** Refuses what is not an HTTP URL without query, fragment and version; the result does not end with a slash. */
export function checkApiUrl(apiUrl: string | URL): string {
  let url: URL;
  try {
    url = new URL(apiUrl);
  } catch {
    throw new TypeError("Reading the option apiUrl: it is not an absolute URL");
  }
  if (url.protocol !== "https:" && url.protocol !== "http:") {
    throw new TypeError(`Reading the option apiUrl: its protocol is ${url.protocol}`);
  }
  if (url.search !== "" || url.hash !== "" || url.username !== "" || url.password !== "") {
    throw new TypeError("Reading the option apiUrl: it has a query, a fragment or credentials");
  }
  const base = url.origin + url.pathname.replace(/\/+$/, "");
  // Every request would be for /v2/v2/…, and its 404 be taken for an answer.
  if (base.endsWith("/v2")) throw new TypeError("Reading the option apiUrl: it ends in /v2");
  return base;
}
