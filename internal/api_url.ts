/** The base URL of mittwald's API. */

/** mittwald's production API. */
export const DEFAULT_API_URL = "https://api.mittwald.de";

/** Accepts HTTP(S) URLs without query, fragment and version; removes trailing slashes. */
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
  // Requests would go to /v2/v2/…, and their 404 would look like a genuine answer.
  if (base.endsWith("/v2")) throw new TypeError("Reading the option apiUrl: it ends in /v2");
  return base;
}
