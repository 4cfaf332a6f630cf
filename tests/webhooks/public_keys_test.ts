/** Where public keys come from: mittwald's API, its troubles, and strangers who make up serials. */

import { assert, assertEquals, assertLessOrEqual, assertRejects, assertThrows } from "@std/assert";
import { encodeBase64 } from "@std/encoding";
import {
  BusyError,
  MittwaldPublicKeys,
  PublicKeyUnavailableError,
  UnknownPublicKeyError,
} from "../../webhooks/mod.ts";
import { eachRow } from "../support/each_row.ts";
import { poll } from "../support/postgres.ts";
import { ADDED, encode, never, payload, Receiver, SERIAL, WELL_FORMED } from "./support.ts";

const KEY = encodeBase64(new Uint8Array(32).fill(7));
const NO_KEY = "502 ERR_PUBLIC_KEY_UNAVAILABLE";

type Behaviour = (request: Request) => Response | Promise<Response>;

/** mittwald's endpoint on a real socket, with a behaviour that can be changed. */
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

/** Knows every serial that begins with "known". */
function mittwald(request: Request): Response {
  const serial = serialOf(request);
  return serial.startsWith("known")
    ? Response.json({ serial, key: KEY })
    : Response.json({ message: "not found" }, { status: 404 });
}

Deno.test("a key is asked for once, and by one request for all who want it at the same time", async () => {
  await using endpoint = serve(mittwald);
  const get = () => endpoint.publicKeys.getPublicKey("known-1");
  assertEquals(new Set(await Promise.all(Array.from({ length: 50 }, get))), new Set([KEY]));
  await get();
  assertEquals(endpoint.paths, ["/v2/public-keys/known-1"]);
});

Deno.test("the base URL may have a path, and a trailing slash", async () => {
  await using endpoint = serve(() => Response.json({ key: KEY }));
  const { url, paths } = endpoint;
  for (const apiUrl of [`${url}/api`, `${url}/api/`, new URL("api", url)]) {
    assertEquals(await new MittwaldPublicKeys({ apiUrl }).getPublicKey("known"), KEY);
  }
  assertEquals(paths, Array(3).fill("/api/v2/public-keys/known"));
});

Deno.test("serials cannot lead to any other path, and some never leave", async () => {
  await using endpoint = serve(mittwald);
  const { publicKeys, paths } = endpoint;
  for (const serial of ["", ".", "..", "x".repeat(129), "\ud800"]) {
    await assertRejects(() => publicKeys.getPublicKey(serial), UnknownPublicKeyError);
  }
  assertEquals(paths, []);
  const odd = ["../known", "known/../../x", "%2e%2e", "known?x", "known#x", "..\\x", "kn own", "é"];
  const serials = [...odd, "x".repeat(128)];
  for (const serial of serials) await publicKeys.getPublicKey(serial).catch(() => {});
  assertEquals(paths, serials.map((serial) => `/v2/public-keys/${encodeURIComponent(serial)}`));
});

Deno.test("an unknown serial is asked for again after 60 s, not before", async () => {
  await using endpoint = serve(mittwald);
  const { publicKeys, paths } = endpoint;
  const { now } = Date;
  const requestsAt = async (aheadMs: number) => {
    Date.now = () => now() + aheadMs;
    try {
      await assertRejects(() => publicKeys.getPublicKey("made-up"), UnknownPublicKeyError);
    } finally {
      Date.now = now;
    }
    return paths.length;
  };
  assertEquals([await requestsAt(0), await requestsAt(0), await requestsAt(59_000)], [1, 1, 1]);
  assertEquals(await requestsAt(61_000), 2);
  // A clock that was set back does not keep it for longer: the entry is too far in the future.
  assertEquals(await requestsAt(-3_600_000), 3);
});

Deno.test("the 64 keys used last are kept", async () => {
  await using endpoint = serve(mittwald);
  const { publicKeys, paths } = endpoint;
  for (let i = 0; i < 200; i++) {
    await publicKeys.getPublicKey(`known-${i}`);
    await publicKeys.getPublicKey("known-0"); // the key in use
  }
  for (let i = 137; i < 200; i++) await publicKeys.getPublicKey(`known-${i}`);
  assertEquals(paths.length, 200);
  await publicKeys.getPublicKey("known-1");
  assertEquals(paths.length, 201);
});

Deno.test("an endpoint in trouble is answered with 502, and the next delivery works", async (t) => {
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
    "status 429": () => new Response(null, { status: 429 }),
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
  const publicKeys = new MittwaldPublicKeys({ apiUrl: endpoint.url, timeoutMs: 100 });
  const receiver = await Receiver.create({ publicKeys });
  const body = encode(payload(ADDED));
  const signed = await receiver.signer.headers(body);
  await eachRow(t, troubles, async (trouble, name) => {
    const headers = { ...signed, [SERIAL]: `known ${name}` };
    receiver.errors.length = 0;
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

Deno.test("an endpoint that is down is answered with 502, and the next delivery works when it is back", async () => {
  const gone = serve(mittwald);
  await gone[Symbol.asyncDispose]();
  const receiver = await Receiver.create({ publicKeys: gone.publicKeys });
  await receiver.expect(NO_KEY, payload(ADDED));
  assert(receiver.errors[0]?.cause instanceof Error);
  const key = receiver.signer.publicKey;
  await using _back = serve(() => Response.json({ key }), Number(new URL(gone.url).port));
  await receiver.expect("200 STORED", payload(ADDED));
});

/** A receiver on an API that knows one serial and needs 100 ms for an answer, and strangers in front of it. */
async function floodedReceiver() {
  const api = { requests: 0, underWay: 0, mostAtOnce: 0 };
  const fetch = async (input: unknown) => {
    api.requests++;
    api.mostAtOnce = Math.max(api.mostAtOnce, ++api.underWay);
    await new Promise((resolve) => setTimeout(resolve, 100));
    api.underWay--;
    return String(input).endsWith("/serial-1")
      ? Response.json({ key: receiver.signer.publicKey })
      : Response.json({}, { status: 404 });
  };
  const publicKeys = new MittwaldPublicKeys({ fetch: fetch as typeof globalThis.fetch });
  const receiver: Receiver = await Receiver.create({ timeoutMs: 1_500, publicKeys });
  const begun = performance.now();
  const strangers: Promise<string>[] = [];
  return {
    api,
    strangers,
    flood() {
      const headers = { ...WELL_FORMED, [SERIAL]: `made-up-${strangers.length}` };
      const sent = receiver.send("{}", headers);
      strangers.push(sent.then(({ status, answer }) => `${status} ${answer.code}`));
    },
    /** A genuine delivery is stored in three attempts; strangers are refused, and the API is spared. */
    async assertGetsThrough(stopFlood = () => {}) {
      let status = 0;
      for (let attempt = 0; status !== 200 && attempt < 3; attempt++) {
        ({ status } = await receiver.deliver(payload(ADDED)));
      }
      stopFlood();
      assertEquals(status, 200);
      // On a machine that is busy with other things, answers that came in time can be read too late: the last two.
      const refused =
        /^(401 ERR_SIGNATURE_INVALID|503 ERR_BUSY|503 ERR_DEADLINE_EXCEEDED|502 ERR_PUBLIC_KEY_UNAVAILABLE)$/;
      for (const answer of await Promise.all(strangers)) assert(refused.test(answer), answer);
      const seconds = (performance.now() - begun) / 1_000;
      assertLessOrEqual(api.mostAtOnce, 4);
      assertLessOrEqual(api.requests, 1 + 32 + Math.ceil(16 * seconds));
      assertEquals(receiver.storage.calls, { upsertExtension: 1 });
      // Requests are ended, this API is not.
      await poll(() => api.underWay === 0);
    },
  };
}

Deno.test("after 5,000 made-up serials at once, a delivery with a key never seen before gets through", async () => {
  const { strangers, flood, assertGetsThrough } = await floodedReceiver();
  for (let count = 0; count < 5_000; count++) flood();
  await Promise.race(strangers);
  await assertGetsThrough();
});

Deno.test("during 200 made-up serials a second, a delivery with a key never seen before gets through", async () => {
  const { api, strangers, flood, assertGetsThrough } = await floodedReceiver();
  const begun = performance.now();
  const timer = setInterval(() => {
    while (strangers.length < (performance.now() - begun) / 5) flood();
  }, 5);
  try {
    // When what the API takes in a burst is used up.
    await poll(() => api.requests >= 32, { timeoutMs: 60_000 });
    await assertGetsThrough(() => clearInterval(timer));
  } finally {
    clearInterval(timer);
  }
});

Deno.test("the serial that has waited most often goes first, of others the newest", async () => {
  const waiting: (() => void)[] = [];
  const asked: string[] = [];
  const publicKeys = new MittwaldPublicKeys({
    fetch: (input) => {
      asked.push(String(input).replace(/.*\//, ""));
      return new Promise((resolve) => waiting.push(() => resolve(Response.json({ key: KEY }))));
    },
  });
  const get = (serial: string, waitMs = 60_000) => publicKeys.getPublicKey(serial, { waitMs });
  const keys = ["1", "2", "3", "4"].map((serial) => get(serial));
  await assertRejects(() => get("again", 1), BusyError);
  // However many want it at once, it is one wait.
  keys.push(...["again", "old", "old", "old", "new"].map((serial) => get(serial)));
  for (let answered = 0; answered < 7; answered++) {
    await poll(() => waiting[answered], { intervalMs: 1 });
    waiting[answered]!();
  }
  await Promise.all(keys);
  assertEquals(asked, ["1", "2", "3", "4", "again", "new", "old"]);
});

Deno.test("1,024 serials wait, the oldest gives way to a newer one", async () => {
  const signals: AbortSignal[] = [];
  const publicKeys = new MittwaldPublicKeys({
    timeoutMs: 300,
    fetch(_, init) {
      signals.push(init!.signal!);
      return never();
    },
  });
  const messages = await Promise.all(
    Array.from({ length: 1_029 }, async (_, index) => {
      const error = await assertRejects(() => publicKeys.getPublicKey(`made-up-${index}`), Error);
      return error.message;
    }),
  );
  const pushedOut = messages.flatMap((message, index) => message.includes("1024") ? [index] : []);
  assertEquals(pushedOut, [4]);
  assertEquals(messages.filter((message) => message.includes("no answer")).length, 4);
  // The requests that had their turn when those gave up end as well.
  await poll(() => signals.every(({ aborted }) => aborted));
});

Deno.test("an unknown serial gives way to newer ones, and is asked for again", async () => {
  let requests = 0;
  const { now } = performance;
  let ahead = 0;
  const publicKeys = new MittwaldPublicKeys({
    fetch: () => {
      requests++;
      return Promise.resolve(new Response(null, { status: 404 }));
    },
  });
  const ask = async (serial: string) => {
    await assertRejects(() => publicKeys.getPublicKey(serial), UnknownPublicKeyError);
    return requests;
  };
  // Time for the requests, so that they need not wait for it.
  performance.now = () => now.call(performance) + (ahead += 1_000);
  try {
    for (let index = 0; index < 1_024; index++) await ask(`made-up-${index}`);
    assertEquals(await ask("made-up-0"), 1_024);
    await ask("made-up-1024");
    assertEquals(await ask("made-up-0"), 1_026);
  } finally {
    performance.now = now;
  }
});

Deno.test("known keys are never asked for, and have to be keys", async () => {
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

Deno.test("a request that dies without a word does not hold its place for good", async () => {
  // As on Cloudflare Workers, where a request dies with the delivery that made it: nothing settles, no timer fires.
  let alive = false;
  const { setTimeout } = globalThis;
  const publicKeys = new MittwaldPublicKeys({
    timeoutMs: 100,
    fetch: () => alive ? Promise.resolve(Response.json({ key: KEY })) : never(),
  });
  try {
    globalThis.setTimeout = (() => 0) as unknown as typeof setTimeout;
    for (let i = 0; i < 4; i++) publicKeys.getPublicKey(`known-${i}`);
  } finally {
    await new Promise((resolve) => setTimeout(resolve));
    globalThis.setTimeout = setTimeout;
  }
  alive = true;
  await assertRejects(() => publicKeys.getPublicKey("known-4", { waitMs: 1 }), BusyError);
  assertEquals(await publicKeys.getPublicKey("known-4", { waitMs: 60_000 }), KEY);
  assertEquals(await publicKeys.getPublicKey("known-0", { waitMs: 60_000 }), KEY);
});
