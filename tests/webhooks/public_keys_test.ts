/** Public keys: mittwald's API, its outages, and strangers who make up serials. */

import { assert, assertEquals, assertLessOrEqual, assertRejects, assertThrows } from "@std/assert";
import { encodeBase64 } from "@std/encoding";
import { SimulatedMstudio } from "../../testing/mod.ts";
import {
  BusyError,
  MittwaldPublicKeys,
  type MittwaldPublicKeysOptions,
  PublicKeyUnavailableError,
  UnknownPublicKeyError,
} from "../../webhooks/mod.ts";
import { ahead } from "../support/clock.ts";
import { eachRow } from "../support/each_row.ts";
import { poll } from "../../tools/postgres/databases.ts";
import {
  ADDED,
  createSigner,
  encode,
  never,
  payload,
  Receiver,
  SERIAL,
  WELL_FORMED,
} from "./support.ts";

const KEY = encodeBase64(new Uint8Array(32).fill(7));
const OTHER_KEY = encodeBase64(new Uint8Array(32).fill(9));
const NO_KEY = "502 ERR_PUBLIC_KEY_UNAVAILABLE";
const LATEST = "/v2/public-keys/latest";

type Behaviour = (request: Request) => Response | Promise<Response>;

/** mittwald's endpoint on a real socket, with changeable behaviour. */
function serve(behaviour: Behaviour, port = 0) {
  const endpoint = { behaviour, paths: [] as string[] };
  const server = Deno.serve({ port, hostname: "127.0.0.1", onListen() {} }, (request) => {
    endpoint.paths.push(new URL(request.url).pathname);
    return endpoint.behaviour(request);
  });
  const url = `http://127.0.0.1:${server.addr.port}`;
  const publicKeys = new MittwaldPublicKeys({ apiUrl: url, timeoutMs: 1_000 });
  const dispose = { [Symbol.asyncDispose]: () => server.shutdown() };
  return Object.assign(endpoint, dispose, { url, publicKeys });
}

function serialOf(request: Request): string {
  return decodeURIComponent(new URL(request.url).pathname.replace("/v2/public-keys/", ""));
}

/** Signs with "known-latest" and has a key for every serial that starts with "known". */
function mittwald(request: Request): Response {
  const serial = serialOf(request).replace(/^latest$/, "known-latest");
  return serial.startsWith("known")
    ? Response.json({ serial, key: KEY, algorithm: "Ed25519" })
    : Response.json({ message: "not found" }, { status: 404 });
}

/** Keys from an API in this process. */
function keysOf(
  answer: (serial: string, count: number) => Response | Promise<Response>,
  options: MittwaldPublicKeysOptions = {},
) {
  const asked: string[] = [];
  const publicKeys = new MittwaldPublicKeys({
    ...options,
    fetch: async (input) => {
      asked.push(String(input).replace(/.*\/public-keys\//, ""));
      return await answer(asked.at(-1)!, asked.length);
    },
  });
  return { publicKeys, asked };
}

const notFound = () => new Response(null, { status: 404 });
const keyOf = (serial: string, key = KEY) => Response.json({ serial, key });

Deno.test("the default of apiUrl, also if it is blank, is mittwald's API", async () => {
  for (const apiUrl of [undefined, ""]) {
    const asked: string[] = [];
    const fetch = (url: RequestInfo | URL) => {
      asked.push(String(url));
      return Promise.resolve(mittwald(new Request(String(url))));
    };
    await new MittwaldPublicKeys({ apiUrl, fetch }).getPublicKey("known");
    assertEquals(asked[0], `https://api.mittwald.de${LATEST}`);
  }
});

Deno.test("the latest key is requested once, by one request for all concurrent calls", async () => {
  await using endpoint = serve(mittwald);
  const get = () => endpoint.publicKeys.getPublicKey("known-latest");
  assertEquals(new Set(await Promise.all(Array.from({ length: 50 }, get))), new Set([KEY]));
  await get();
  assertEquals(endpoint.paths, [LATEST]);
});

Deno.test("another serial is requested by name, by one request for all calls, and cached", async () => {
  await using endpoint = serve(mittwald);
  const get = () => endpoint.publicKeys.getPublicKey("known-1");
  assertEquals(new Set(await Promise.all(Array.from({ length: 50 }, get))), new Set([KEY]));
  await get();
  assertEquals(endpoint.paths, [LATEST, "/v2/public-keys/known-1"]);
});

Deno.test("keys of session tokens are requested with their purpose", async () => {
  await using mstudio = await SimulatedMstudio.create({
    extensionId: "extension-1",
    target: () => new Response(),
  });
  const api: typeof globalThis.fetch = (input, init) => mstudio.api(new Request(input, init));
  const urls: string[] = [];
  const fetch: typeof api = (input, init) => {
    urls.push(String(input));
    return api(input, init);
  };
  const publicKeys = new MittwaldPublicKeys({ fetch, purpose: "session_token" });
  await assertRejects(() => publicKeys.getPublicKey(mstudio.serial), UnknownPublicKeyError);
  const url = "https://api.mittwald.de/v2/public-keys";
  const query = "?purpose=session_token";
  assertEquals(urls, [`${url}/latest${query}`, `${url}/${mstudio.serial}${query}`]);
  const { serial, key } = await (await api(`${url}/latest${query}`)).json();
  assertEquals(await publicKeys.getPublicKey(serial), key);
  assertEquals(urls.length, 2);
});

Deno.test("the base URL may have a path, and a trailing slash", async () => {
  await using endpoint = serve(() => keyOf("known"));
  const { url, paths } = endpoint;
  for (const apiUrl of [`${url}/api`, `${url}/api/`, new URL("api", url)]) {
    assertEquals(await new MittwaldPublicKeys({ apiUrl }).getPublicKey("known"), KEY);
  }
  assertEquals(paths, Array(3).fill("/api/v2/public-keys/latest"));
});

Deno.test("serials cannot lead to another path, and some are never sent", async () => {
  await using endpoint = serve(mittwald);
  const { publicKeys, paths } = endpoint;
  for (const serial of ["", ".", "..", "latest", "LATEST", "x".repeat(129), "\ud800"]) {
    await assertRejects(() => publicKeys.getPublicKey(serial), UnknownPublicKeyError);
  }
  assertEquals(paths, []);
  const odd = ["../known", "known/../../x", "%2e%2e", "known?x", "known#x", "..\\x", "kn own"];
  const serials = [...odd, "x".repeat(128)];
  for (const serial of serials) await publicKeys.getPublicKey(serial).catch(() => {});
  const asked = paths.filter((path) => path !== LATEST);
  assertEquals(asked, serials.map((serial) => `/v2/public-keys/${encodeURIComponent(serial)}`));
});

Deno.test("an unknown serial is requested again only after 60 s, the latest once per second", async () => {
  const { publicKeys, asked } = keysOf((serial) =>
    serial === "latest" ? keyOf("known-latest") : notFound()
  );
  const requestsAfter = async (ms: number) => {
    asked.length = 0;
    await ahead(
      ms,
      () => assertRejects(() => publicKeys.getPublicKey("made-up"), UnknownPublicKeyError),
    );
    return asked;
  };
  assertEquals(await requestsAfter(0), ["latest", "made-up"]);
  assertEquals(await requestsAfter(0), []);
  assertEquals(await requestsAfter(2_000), ["latest"]);
  assertEquals(await requestsAfter(59_000), ["latest"]);
  assertEquals(await requestsAfter(62_000), ["latest", "made-up"]);
});

Deno.test("an unknown serial that becomes the latest is known within a second", async () => {
  let latest = "known-1";
  const { publicKeys } = keysOf((serial) => serial === "latest" ? keyOf(latest) : notFound());
  await assertRejects(() => publicKeys.getPublicKey("known-2"), UnknownPublicKeyError);
  latest = "known-2";
  assertEquals(await ahead(1_001, () => publicKeys.getPublicKey("known-2")), KEY);
});

Deno.test("the 64 most recently used keys are cached", async () => {
  await using endpoint = serve(mittwald);
  const { publicKeys, paths } = endpoint;
  const asked = () => paths.filter((path) => path !== LATEST).length;
  for (let i = 0; i < 200; i++) {
    await publicKeys.getPublicKey(`known-${i}`);
    await publicKeys.getPublicKey("known-0"); // the key in use
  }
  for (let i = 140; i < 200; i++) await publicKeys.getPublicKey(`known-${i}`);
  assertEquals(asked(), 200);
  await publicKeys.getPublicKey("known-1");
  assertEquals(asked(), 201);
});

Deno.test("an endpoint's trouble is answered with 502, and the next delivery works", async (t) => {
  const endless = () =>
    new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(16_384)) });
  const hanging = () =>
    new ReadableStream({
      start: (controller) => controller.enqueue(encode('{"key":')),
      pull: never,
    });
  const elsewhere = (request: Request) =>
    new URL(request.url).pathname.startsWith("/elsewhere")
      ? Response.json({ key: KEY })
      : Response.redirect(new URL("/elsewhere", request.url), 302);
  const released = Promise.withResolvers<Response>();
  const troubles: Record<string, Behaviour> = {
    "status 500": () => new Response("broken", { status: 500 }),
    "status 204": () => new Response(null, { status: 204 }),
    "redirect": elsewhere,
    "not JSON": () => new Response("<html>"),
    "null": () => Response.json(null),
    "no key": (request) => Response.json({ serial: serialOf(request) }),
    "key not a string": () => Response.json({ key: { toString: KEY } }),
    "key of 31 bytes": () => Response.json({ key: encodeBase64(new Uint8Array(31)) }),
    "key of 33 bytes": () => Response.json({ key: encodeBase64(new Uint8Array(33)) }),
    "key not base64": () => Response.json({ key: `${KEY.slice(0, -2)}*=` }),
    "key of another serial": () => Response.json({ serial: "known-2", key: KEY }),
    "endless": () => new Response(endless()),
    "slow": () => released.promise,
    "slow body": () => new Response(hanging()),
  };
  await using endpoint = serve(mittwald);
  const body = encode(payload(ADDED));
  await eachRow(t, troubles, async (trouble, name) => {
    const publicKeys = new MittwaldPublicKeys({ apiUrl: endpoint.url, timeoutMs: 100 });
    const receiver = await Receiver.create({ publicKeys });
    const signed = await receiver.signer.headers(body);
    const headers = { ...signed, [SERIAL]: `known ${name}` };
    endpoint.behaviour = trouble;
    const calls = receiver.storage.callCount;
    await receiver.expectSent(NO_KEY, body, headers);
    assertEquals(receiver.errors.map((error) => error.constructor), [PublicKeyUnavailableError]);
    assertEquals(receiver.storage.callCount, calls);
    endpoint.behaviour = (request) =>
      Response.json({ serial: serialOf(request), key: receiver.signer.publicKey });
    await receiver.expectSent("200 STORED", body, headers);
  });
  released.resolve(new Response());
  assert(!endpoint.paths.includes("/elsewhere"));
});

Deno.test("an endpoint that is down is answered with 502, and deliveries work when it is back", async () => {
  const gone = serve(mittwald);
  await gone[Symbol.asyncDispose]();
  const receiver = await Receiver.create({ publicKeys: gone.publicKeys });
  await receiver.expect(NO_KEY, payload(ADDED));
  assert(receiver.errors[0]?.cause instanceof Error);
  const key = receiver.signer.publicKey;
  await using _back = serve(() => keyOf("serial-1", key), Number(new URL(gone.url).port));
  await receiver.expect("200 STORED", payload(ADDED));
});

Deno.test("a pause that the API asks for is kept, for ten minutes at most", async (t) => {
  const sent = new Date(0).toUTCString();
  const limits: Record<string, [number, Record<string, string>, number]> = {
    "429 with seconds": [429, { "retry-after": "30" }, 30_000],
    "429 with a time, by the API's clock": [
      429,
      { "retry-after": new Date(30_000).toUTCString(), date: sent },
      30_000,
    ],
    "429 without a time": [429, {}, 1_000],
    "429 with an invalid time": [429, { "retry-after": "soon" }, 1_000],
    "503 with seconds": [503, { "retry-after": "30" }, 30_000],
    "429 for a day": [429, { "retry-after": "86400" }, 600_000],
  };
  await eachRow(t, limits, async ([status, headers, pauseMs]) => {
    let busy = true;
    const { publicKeys, asked } = keysOf(() =>
      busy ? new Response(null, { status, headers }) : keyOf("known-1")
    );
    const get = (serial = "known-1") => publicKeys.getPublicKey(serial);
    await assertRejects(get, PublicKeyUnavailableError);
    assertEquals(asked, ["latest"]);
    busy = false;
    for (const beforeMs of [pauseMs - 500, pauseMs - 100]) {
      const refused = () => assertRejects(get, PublicKeyUnavailableError, "asked for a pause");
      await ahead(beforeMs, () => Promise.all(Array.from({ length: 20 }, refused)));
    }
    assertEquals(asked.length, 1);
    assertEquals(await ahead(pauseMs + 1_000, get), KEY);
  });
});

Deno.test("an API with neither the serial nor a latest key is not mittwald's: an outage, and reported", async () => {
  await using endpoint = serve(notFound);
  const { publicKeys } = endpoint;
  const receiver = await Receiver.create({ publicKeys });
  for (let attempt = 0; attempt < 20; attempt++) await receiver.expect(NO_KEY, payload(ADDED));
  assertEquals(receiver.codes, ["ERR_PUBLIC_KEY_UNAVAILABLE"]);
  assertEquals(receiver.errors[0]!.message.includes("apiUrl"), true);
  // One that has only the serial is accepted.
  endpoint.behaviour = (request) =>
    serialOf(request) === "serial-1" ? keyOf("serial-1", receiver.signer.publicKey) : notFound();
  await ahead(3_000, () => receiver.expect("200 STORED", payload(ADDED)));
});

/** A receiver with an API that takes 20 ms per answer, and with strangers. */
async function floodedReceiver() {
  const api = { requests: 0, latest: await createSigner("serial-1") };
  const fetch = async (input: unknown) => {
    api.requests++;
    await new Promise((resolve) => setTimeout(resolve, 20));
    const serial = String(input).replace(/.*\//, "").replace(/^latest$/, api.latest.serial);
    return serial === api.latest.serial ? keyOf(serial, api.latest.publicKey) : notFound();
  };
  const publicKeys = new MittwaldPublicKeys({ fetch: fetch as typeof globalThis.fetch });
  const receiver = await Receiver.create({ publicKeys });
  const begun = performance.now();
  const refused = new Map<string, number>();
  let count = 0;
  const flood = async () => {
    const headers = { ...WELL_FORMED, [SERIAL]: `made-up-${count++ % 1_100}` };
    const { status, answer } = await receiver.send("{}", headers);
    const outcome = `${status} ${answer.code}`;
    refused.set(outcome, (refused.get(outcome) ?? 0) + 1);
  };
  /** Strangers who send 1,100 serials, each again as soon as it is refused. */
  async function during(action: () => Promise<void>): Promise<void> {
    let over = false;
    const stranger = async () => {
      while (!over) {
        await flood();
        await new Promise((resolve) => setTimeout(resolve));
      }
    };
    const strangers = Array.from({ length: 50 }, stranger);
    try {
      await poll(() => count >= 2_200, { timeoutMs: 120_000 });
      await action();
    } finally {
      over = true;
      await Promise.all(strangers);
    }
    const answers = ["401 ERR_SIGNATURE_INVALID", "503 ERR_BUSY"];
    assert([...refused.keys()].every((answer) => answers.includes(answer)), `${[...refused]}`);
    const seconds = Math.ceil((performance.now() - begun) / 1_000);
    assertLessOrEqual(api.requests, (1 + seconds) + (8 + seconds));
    assertEquals([receiver.storage.calls, receiver.errors], [{ upsertExtension: 1 }, []]);
  }
  /** A genuine delivery and, like mStudio, a retry a second after a refusal. */
  async function deliver(): Promise<string> {
    const body = encode(payload(ADDED));
    for (const attempt of [1, 2]) {
      const { status } = await receiver.send(body, await api.latest.headers(body));
      if (status === 200) return `attempt ${attempt}`;
      if (attempt === 1) await new Promise((resolve) => setTimeout(resolve, 1_000));
    }
    return "refused";
  }
  return { api, during, deliver };
}

Deno.test("1,100 made-up serials, sent repeatedly: a delivery with a new key passes at once", async () => {
  const { during, deliver } = await floodedReceiver();
  await during(async () => assertEquals(await deliver(), "attempt 1"));
});

Deno.test("1,100 made-up serials, and mittwald changes its key: a delivery passes in two attempts", async () => {
  const { api, during, deliver } = await floodedReceiver();
  await during(async () => {
    api.latest = await createSigner("serial-2");
    assert((await deliver()).startsWith("attempt"));
  });
});

Deno.test("of 5,000 made-up serials at once, few are requested, and nobody waits", async () => {
  const { publicKeys, asked } = keysOf((serial) => serial === "latest" ? keyOf("k") : never());
  let busy = 0;
  for (let index = 0; index < 5_000; index++) {
    publicKeys.getPublicKey(`made-up-${index}`, { waitMs: 200 }).catch((error) => {
      if (error instanceof BusyError) busy++;
    });
  }
  await poll(() => busy >= 4_980);
  assertLessOrEqual(asked.length, 1 + 8 + 2);
});

Deno.test("known keys are never requested, and must be valid", async () => {
  const { signer } = await Receiver.create();
  const publicKeys = new MittwaldPublicKeys({
    known: { "serial-1": signer.publicKey },
    fetch: () => Promise.reject(new Error("down")),
  });
  const receiver = await Receiver.create({ publicKeys });
  const body = encode(payload(ADDED));
  await receiver.expectSent("200 STORED", body, await signer.headers(body));
  await assertRejects(() => publicKeys.getPublicKey("toString"), PublicKeyUnavailableError);
  for (const key of ["", "AAAA", encodeBase64(new Uint8Array(32)), 7 as unknown as string]) {
    const create = () => new MittwaldPublicKeys({ known: { "serial-1": key } });
    assertThrows(create, TypeError, "serial-1");
  }
});

Deno.test("a cached key whose signatures fail is requested again, once in five minutes", async () => {
  const { signer } = await Receiver.create();
  let key = OTHER_KEY;
  const { publicKeys, asked } = keysOf(() => keyOf("serial-1", key));
  const receiver = await Receiver.create({ publicKeys });
  const body = encode(payload(ADDED));
  const send = async (expected: string, headers: Record<string, string>) =>
    void await receiver.expectSent(expected, body, headers);
  const genuine = await signer.headers(body);
  await send("401 ERR_SIGNATURE_INVALID", genuine);
  key = signer.publicKey;
  for (let attempt = 0; attempt < 20; attempt++) await send("401 ERR_SIGNATURE_INVALID", genuine);
  assertEquals(asked, ["latest"]);
  await ahead(301_000, () => send("200 STORED", genuine));
  await send("200 STORED", genuine);
  assertEquals(asked, ["latest", "serial-1"]);
  // Forgeries under a serial with the right key, for an hour.
  for (let minute = 6; minute <= 66; minute++) {
    await ahead(minute * 60_000, () => send("401 ERR_SIGNATURE_INVALID", WELL_FORMED));
  }
  assertLessOrEqual(asked.length, 2 + 13);
  await send("200 STORED", genuine);
});

Deno.test("a cached key stays if it cannot be requested again", async () => {
  const { signer } = await Receiver.create();
  const { publicKeys, asked } = keysOf((_, count) =>
    count === 1 ? keyOf("serial-1", signer.publicKey) : notFound()
  );
  const receiver = await Receiver.create({ publicKeys });
  const body = encode(payload(ADDED));
  await receiver.expectSent("200 STORED", body, await signer.headers(body));
  for (let attempt = 0; attempt < 20; attempt++) {
    const forge = () => receiver.expectSent("401 ERR_SIGNATURE_INVALID", body, WELL_FORMED);
    await ahead(301_000, forge);
  }
  assertEquals(asked, ["latest", "serial-1"]);
  await receiver.expectSent("200 STORED", body, await signer.headers(body));
  // Keys that are not cached are not requested at all.
  assertEquals(await publicKeys.askAgain("serial-9", KEY), KEY);
  const known = new MittwaldPublicKeys({ known: { "serial-1": KEY } });
  assertEquals(await known.askAgain("serial-1", OTHER_KEY), KEY);
  assertEquals(asked.length, 2);
});

Deno.test("a request that never settles does not hold its place for good", async () => {
  // As on Cloudflare Workers, where a request dies with its delivery: nothing settles, no timer
  // fires.
  let alive = false;
  const { setTimeout } = globalThis;
  const { publicKeys } = keysOf(
    (serial) => alive ? keyOf(serial === "latest" ? "known-1" : serial) : never(),
    { timeoutMs: 100 },
  );
  try {
    globalThis.setTimeout = (() => 0) as unknown as typeof setTimeout;
    for (let i = 0; i < 4; i++) publicKeys.getPublicKey(`known-${i}`);
  } finally {
    await new Promise((resolve) => setTimeout(resolve));
    globalThis.setTimeout = setTimeout;
  }
  alive = true;
  await assertRejects(() => publicKeys.getPublicKey("known-4"), PublicKeyUnavailableError);
  await ahead(2_000, async () => {
    assertEquals(await publicKeys.getPublicKey("known-1", { waitMs: 60_000 }), KEY);
    assertEquals(await publicKeys.getPublicKey("known-4", { waitMs: 60_000 }), KEY);
  });
});
