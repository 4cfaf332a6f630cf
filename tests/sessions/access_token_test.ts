/** Access tokens of users. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { inspect } from "node:util";
import type { MstudioSessionsOptions, SessionInstance } from "../../sessions/mod.ts";
import { assertRefused, EXTENSION_SECRET, openSessions, requestWith } from "./support.ts";

const EXPIRY = "2031-01-01T00:00:00Z";
const ANSWER = { publicToken: "the-token-of-the-user", expiry: EXPIRY };

/** An API with given answers. */
async function openApi(
  answer: () => Response | Promise<Response>,
  options: Partial<MstudioSessionsOptions<SessionInstance>> = {},
) {
  const requests: { url: string; method: string; body: unknown; redirect: string }[] = [];
  const opened = await openSessions<SessionInstance>({
    extensionSecret: EXTENSION_SECRET,
    apiUrl: "https://api.example/base/",
    async fetch(input, init) {
      const request = new Request(input, init);
      const { url, method, redirect } = request;
      requests.push({ url, method, redirect, body: await request.json() });
      return await answer();
    },
    ...options,
  });
  return { ...opened, requests };
}

const created = (body: unknown = ANSWER) => Response.json(body, { status: 201 });

Deno.test("the token and the extension's secret go to the API, each time anew", async () => {
  const { sessions, token, requests } = await openApi(() => created());
  const good = await token();
  const { token: access, expiresAt } = await sessions.accessToken(requestWith(good));
  assertEquals([access, expiresAt], ["the-token-of-the-user", new Date(EXPIRY)]);
  await sessions.accessToken(good);
  const body = { sessionToken: good, extensionSecret: EXTENSION_SECRET };
  const url = "https://api.example/base/v2/authenticate-session-token";
  assertEquals(requests, Array(2).fill({ url, method: "POST", redirect: "manual", body }));
});

Deno.test("tokens that verify refuses do not reach the API", async () => {
  let row: SessionInstance | undefined = { contextId: "p-1", active: true };
  const storage = { getInstance: () => Promise.resolve(row) };
  const { sessions, token, requests } = await openApi(() => created(), { storage });
  const good = await token();
  await sessions.accessToken(good);
  row = { contextId: "p-1", active: false };
  await assertRefused("ERR_INSTANCE_INACTIVE", () => sessions.accessToken(good));
  row = undefined;
  await assertRefused("ERR_UNKNOWN_INSTANCE", () => sessions.accessToken(good));
  const foreign = await token({ extensionId: "another" });
  await assertRefused("ERR_WRONG_EXTENSION", () => sessions.accessToken(foreign));
  await assertRefused("ERR_SESSION_MISSING", () => sessions.accessToken(null));
  assertEquals(requests.length, 1);
});

Deno.test("without a secret: only tokens that need none", async () => {
  for (const extensionSecret of [undefined, ""]) {
    const { sessions, token, requests } = await openApi(() => created(), { extensionSecret });
    const needing = await token();
    const error = await assertRejects(() => sessions.accessToken(needing), TypeError);
    assertEquals(
      error.message,
      "Getting an access token of a user: the option extensionSecret is missing or empty",
    );
    const free = await token({ authenticatableWithoutSecret: true });
    await sessions.accessToken(free);
    assertEquals(requests.map(({ body }) => body), [{ sessionToken: free }]);
  }
});

Deno.test("refused by the API: 403; an API that is down, busy or malformed: 502", async () => {
  const answers: [string, string, () => Response | Promise<Response>][] = [
    ...[400, 401, 403, 404, 409, 410, 422].map((status) =>
      [
        "ERR_ACCESS_TOKEN_REFUSED",
        `the API answered with status ${status}`,
        () => Response.json({ message: EXTENSION_SECRET }, { status }),
      ] as [string, string, () => Response]
    ),
    ...[202, 302, 408, 429, 500, 503].map((status) =>
      [
        "ERR_TOKEN_UNAVAILABLE",
        `the API answered with status ${status}`,
        () => new Response(null, { status }),
      ] as [string, string, () => Response]
    ),
    ...[
      "nonsense",
      null,
      {},
      { ...ANSWER, publicToken: "" },
      { ...ANSWER, publicToken: "a b" },
      { ...ANSWER, publicToken: 7 },
      { ...ANSWER, expiry: "soon" },
      { publicToken: "x" },
    ].map((body) =>
      [
        "ERR_TOKEN_UNAVAILABLE",
        "the API's answer has no usable token",
        () => created(body),
      ] as [string, string, () => Response]
    ),
    ["ERR_TOKEN_UNAVAILABLE", "no usable token", () => new Response("{", { status: 201 })],
    [
      "ERR_TOKEN_UNAVAILABLE",
      "larger than",
      () => new Response("x".repeat(100_000), { status: 201 }),
    ],
    [
      "ERR_TOKEN_UNAVAILABLE",
      "could not be reached",
      () => Promise.reject(new TypeError("no network")),
    ],
    ["ERR_TOKEN_UNAVAILABLE", "the API did not answer in time", () => new Promise(() => {})],
  ];
  for (const [code, found, answer] of answers) {
    const { sessions, token } = await openApi(answer, { timeoutMs: 200 });
    const good = await token();
    const error = await assertRefused(code as "ERR_TOKEN_UNAVAILABLE", async () => {
      await sessions.accessToken(good);
    }, found);
    assertEquals(error.status, code === "ERR_ACCESS_TOKEN_REFUSED" ? 403 : 502);
    const shown = inspect(error, { depth: 10 }) + await error.toResponse().text();
    for (const secret of [EXTENSION_SECRET, good, ANSWER.publicToken]) {
      assert(!shown.includes(secret), shown);
    }
  }
});

Deno.test("an expiry without a zone is UTC", async () => {
  const { sessions, token } = await openApi(() =>
    created({ ...ANSWER, expiry: EXPIRY.slice(0, -1) })
  );
  const { expiresAt } = await sessions.accessToken(await token());
  assertEquals(expiresAt, new Date(EXPIRY));
});
