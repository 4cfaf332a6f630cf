import { assert, assertEquals, assertLessOrEqual, assertRejects, assertThrows } from "@std/assert";
import { encodeBase64 } from "@std/encoding";
import {
  BusyError,
  MittwaldPublicKeys,
  PublicKeyUnavailableError,
  UnknownPublicKeyError,
} from "../../webhooks/mod.ts";
import {
  assertAnswer,
  encode,
  payload,
  Receiver,
  signatureHeaders,
  WELL_FORMED,
} from "./support.ts";

const KEY = encodeBase64(new Uint8Array(32).fill(7));

/** mittwald's endpoint on a real socket, with a behaviour that can be changed. */
class Endpoint implements AsyncDisposable {
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  /** The paths asked for. */
  readonly paths: string[] = [];
  underWay = 0;
  mostAtOnce = 0;
  behaviour: (request: Request) => Response | Promise<Response>;

  constructor(behaviour: (request: Request) => Response | Promise<Response>, port = 0) {
    this.behaviour = behaviour;
    this.#server = Deno.serve({ port, hostname: "127.0.0.1", onListen() {} }, async (request) => {
      this.paths.push(new URL(request.url).pathname);
      this.mostAtOnce = Math.max(this.mostAtOnce, ++this.underWay);
      try {
        return await this.behaviour(request);
      } finally {
        this.underWay--;
      }
    });
  }

  get port(): number {
    return this.#server.addr.port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
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

/** Runs with a clock that is ahead. */
async function later<T>(ms: number, action: () => Promise<T>): Promise<T> {
  const now = Date.now;
  Date.now = () => now() + ms;
  try {
    return await action();
  } finally {
    Date.now = now;
  }
}

Deno.test("a key is asked for once, and by one request for all who want it at the same time", async () => {
  await using endpoint = new Endpoint(mittwald);
  const publicKeys = new MittwaldPublicKeys({ apiUrl: endpoint.url });
  const keys = await Promise.all(
    Array.from({ length: 50 }, () => publicKeys.getPublicKey("known-1")),
  );
  assertEquals(new Set(keys), new Set([KEY]));
  await publicKeys.getPublicKey("known-1");
  assertEquals(endpoint.paths, ["/v2/public-keys/known-1"]);
});

Deno.test("the base URL may have a path, and a trailing slash", async () => {
  await using endpoint = new Endpoint((request) =>
    Response.json({ key: new URL(request.url).pathname.startsWith("/api/v2/") ? KEY : "" })
  );
  for (
    const apiUrl of [`${endpoint.url}/api`, `${endpoint.url}/api/`, new URL("api", endpoint.url)]
  ) {
    assertEquals(await new MittwaldPublicKeys({ apiUrl }).getPublicKey("known"), KEY);
  }
  assertEquals(new Set(endpoint.paths), new Set(["/api/v2/public-keys/known"]));
});

Deno.test("serials cannot lead to any other path, and some never leave", async () => {
  await using endpoint = new Endpoint(mittwald);
  const publicKeys = new MittwaldPublicKeys({ apiUrl: endpoint.url });
  for (const serial of ["", ".", "..", "x".repeat(129), "\ud800"]) {
    await assertRejects(() => publicKeys.getPublicKey(serial), UnknownPublicKeyError);
  }
  assertEquals(endpoint.paths, []);
  const serials = [
    "../known",
    "known/../../x",
    "%2e%2e",
    "known?x",
    "known#x",
    "..\\x",
    "kn own",
    "é",
  ];
  for (const serial of [...serials, "x".repeat(128)]) {
    await publicKeys.getPublicKey(serial).catch(() => {});
  }
  assertEquals(
    endpoint.paths,
    [...serials, "x".repeat(128)].map((serial) => `/v2/public-keys/${encodeURIComponent(serial)}`),
  );
});

Deno.test("an unknown serial is asked for again after 60 s, not before", async () => {
  await using endpoint = new Endpoint(mittwald);
  const publicKeys = new MittwaldPublicKeys({ apiUrl: endpoint.url });
  const ask = () => assertRejects(() => publicKeys.getPublicKey("made-up"), UnknownPublicKeyError);
  await ask();
  await ask();
  await later(59_000, ask);
  assertEquals(endpoint.paths.length, 1);
  await later(61_000, ask);
  assertEquals(endpoint.paths.length, 2);
  // A clock that was set back does not keep it for longer: the entry is too far in the future.
  await later(-3_600_000, ask);
  assertEquals(endpoint.paths.length, 3);
});

Deno.test("the 64 keys used last are kept", async () => {
  await using endpoint = new Endpoint(mittwald);
  const publicKeys = new MittwaldPublicKeys({ apiUrl: endpoint.url });
  for (let i = 0; i < 200; i++) {
    await publicKeys.getPublicKey(`known-${i}`);
    await publicKeys.getPublicKey("known-0"); // the key in use
  }
  assertEquals(endpoint.paths.length, 200);
  for (let i = 137; i < 200; i++) await publicKeys.getPublicKey(`known-${i}`);
  assertEquals(endpoint.paths.length, 200);
  await publicKeys.getPublicKey("known-1");
  assertEquals(endpoint.paths.length, 201);
});

Deno.test("an endpoint in trouble is answered with 502, and the next delivery works", async (t) => {
  const hanging = new AbortController();
  const hang = () =>
    new Promise<Response>((resolve) =>
      hanging.signal.addEventListener("abort", () => resolve(new Response(null)))
    );
  const hangingBody = () =>
    new Response(
      new ReadableStream({
        start(controller) {
          controller.enqueue(encode('{"key":'));
          hanging.signal.addEventListener("abort", () => {
            try {
              controller.close();
            } catch { /* the client has gone */ }
          });
        },
      }),
    );
  const redirect = (request: Request) =>
    new URL(request.url).pathname.startsWith("/elsewhere")
      ? Response.json({ key: KEY })
      : Response.redirect(new URL("/elsewhere", request.url), 302);
  const troubles: Record<string, (request: Request) => Response | Promise<Response>> = {
    "status 500": () => new Response("broken", { status: 500 }),
    "status 429": () => new Response(null, { status: 429 }),
    "status 204": () => new Response(null, { status: 204 }),
    "redirect": redirect,
    "not JSON": () => new Response("<html>"),
    "null": () => Response.json(null),
    "no key": (request) => Response.json({ serial: serialOf(request) }),
    "key not a string": () => Response.json({ key: { toString: KEY } }),
    "key of 31 bytes": () => Response.json({ key: encodeBase64(new Uint8Array(31)) }),
    "key of 33 bytes": () => Response.json({ key: encodeBase64(new Uint8Array(33)) }),
    "key not base64": () => Response.json({ key: `${KEY.slice(0, -2)}*=` }),
    "key of another serial": () => Response.json({ serial: "known-2", key: KEY }),
    "endless": () =>
      new Response(
        new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(16_384)) }),
      ),
    "slow": hang,
    "slow body": hangingBody,
  };
  await using endpoint = new Endpoint(mittwald);
  const publicKeys = new MittwaldPublicKeys({ apiUrl: endpoint.url, timeoutMs: 100 });
  const receiver = await Receiver.create({ publicKeys });
  const works = (request: Request) =>
    Response.json({ serial: serialOf(request), key: receiver.signer.publicKey });
  const body = encode(payload("ExtensionAddedToContext"));
  const signature = encodeBase64(await receiver.signer.sign(body));
  for (const [name, trouble] of Object.entries(troubles)) {
    await t.step(name, async () => {
      const headers = signatureHeaders(`known ${name}`, signature);
      receiver.errors.length = 0;
      endpoint.behaviour = trouble;
      const calls = receiver.storage.callCount;
      assertAnswer(await receiver.send(body, headers), 502, "ERR_PUBLIC_KEY_UNAVAILABLE");
      assertEquals(receiver.errors.map((error) => error.constructor), [PublicKeyUnavailableError]);
      assertEquals(receiver.storage.callCount, calls);
      endpoint.behaviour = works;
      assertAnswer(await receiver.send(body, headers), 200, "STORED");
    });
  }
  assert(!endpoint.paths.includes("/elsewhere"));
  hanging.abort();
});

Deno.test("an endpoint that is down is answered with 502, and the next delivery works when it is back", async () => {
  const port = await (async () => {
    await using endpoint = new Endpoint(mittwald);
    return endpoint.port;
  })();
  const publicKeys = new MittwaldPublicKeys({ apiUrl: `http://127.0.0.1:${port}` });
  const receiver = await Receiver.create({ publicKeys });
  const body = payload("ExtensionAddedToContext");
  assertAnswer(await receiver.deliver(body), 502, "ERR_PUBLIC_KEY_UNAVAILABLE");
  assert(receiver.errors[0]?.cause instanceof Error);
  await using _endpoint = new Endpoint(
    () => Response.json({ key: receiver.signer.publicKey }),
    port,
  );
  assertAnswer(await receiver.deliver(body), 200, "STORED");
});

/** An API in this process that knows one serial, needs 100 ms for an answer, and counts. */
function slowApi(receiver: Receiver) {
  const api = { requests: 0, underWay: 0, mostAtOnce: 0, asked: [] as string[] };
  const fetch = async (input: unknown) => {
    const serial = decodeURIComponent(String(input).replace(/.*\//, ""));
    api.requests++;
    api.asked.push(serial);
    api.mostAtOnce = Math.max(api.mostAtOnce, ++api.underWay);
    await new Promise((resolve) => setTimeout(resolve, 100));
    api.underWay--;
    return serial === "serial-1"
      ? Response.json({ serial, key: receiver.signer.publicKey })
      : Response.json({}, { status: 404 });
  };
  return { api, fetch: fetch as typeof globalThis.fetch };
}

/** A receiver in front of such an API. */
async function receiverOnSlowApi() {
  let fetch: typeof globalThis.fetch = () => Promise.reject(new Error("not ready"));
  const receiver = await Receiver.create({
    timeoutMs: 1_500,
    publicKeys: new MittwaldPublicKeys({ fetch: (...request) => fetch(...request) }),
  });
  const slow = slowApi(receiver);
  fetch = slow.fetch;
  let made = 0;
  const flood = async () => {
    const headers = { ...WELL_FORMED, "X-Marketplace-Signature-Serial": `made-up-${made++}` };
    const { status, answer } = await receiver.send(encode("{}"), headers);
    return `${status} ${answer.code}`;
  };
  const threeAttempts = async () => {
    const statuses: number[] = [];
    do {
      statuses.push((await receiver.deliver(payload("ExtensionAddedToContext"))).status);
    } while (statuses.at(-1) !== 200 && statuses.length < 3);
    return statuses;
  };
  return { receiver, api: slow.api, flood, threeAttempts };
}

// On a machine that is busy with other things, answers that came in time can be read too late: the last two.
const REFUSED = new Set([
  "401 ERR_SIGNATURE_INVALID",
  "503 ERR_BUSY",
  "503 ERR_DEADLINE_EXCEEDED",
  "502 ERR_PUBLIC_KEY_UNAVAILABLE",
]);

Deno.test("after 5,000 made-up serials at once, a delivery with a key never seen before gets through", async () => {
  const { receiver, api, flood, threeAttempts } = await receiverOnSlowApi();
  const begun = performance.now();
  const strangers = Array.from({ length: 5_000 }, flood);
  await Promise.race(strangers);
  assertEquals((await threeAttempts()).at(-1), 200);
  for (const answer of await Promise.all(strangers)) assert(REFUSED.has(answer), answer);
  const seconds = (performance.now() - begun) / 1_000;
  assertLessOrEqual(api.mostAtOnce, 4);
  assertLessOrEqual(api.requests, 1 + 32 + Math.ceil(16 * seconds));
  assertEquals(receiver.storage.calls, { upsertExtension: 1 });
});

Deno.test("during 200 made-up serials a second, a delivery with a key never seen before gets through", async () => {
  const { receiver, api, flood, threeAttempts } = await receiverOnSlowApi();
  const begun = performance.now();
  const strangers: Promise<string>[] = [];
  const timer = setInterval(() => {
    const due = (performance.now() - begun) / 5;
    while (strangers.length < due) strangers.push(flood());
  }, 5);
  try {
    // When what the API takes in a burst is used up.
    while (api.requests < 32) await new Promise((resolve) => setTimeout(resolve, 20));
    assertEquals((await threeAttempts()).at(-1), 200);
  } finally {
    clearInterval(timer);
  }
  for (const answer of await Promise.all(strangers)) assert(REFUSED.has(answer), answer);
  const seconds = (performance.now() - begun) / 1_000;
  assertLessOrEqual(api.mostAtOnce, 4);
  assertLessOrEqual(api.requests, 1 + 32 + Math.ceil(16 * seconds));
  assertEquals(receiver.storage.calls, { upsertExtension: 1 });
});

Deno.test("the serial asked for most often goes first, of others the newest", async () => {
  const waiting: (() => void)[] = [];
  const asked: string[] = [];
  const publicKeys = new MittwaldPublicKeys({
    fetch: (input) => {
      asked.push(String(input).replace(/.*\//, ""));
      return new Promise((resolve) => waiting.push(() => resolve(Response.json({ key: KEY }))));
    },
  });
  const wait = { waitMs: 60_000 };
  const keys = ["1", "2", "3", "4"].map((serial) => publicKeys.getPublicKey(serial, wait));
  await assertRejects(() => publicKeys.getPublicKey("again", { waitMs: 1 }), BusyError);
  for (const serial of ["again", "old", "new"]) keys.push(publicKeys.getPublicKey(serial, wait));
  for (let answered = 0; answered < keys.length; answered++) {
    while (waiting[answered] === undefined) await new Promise((resolve) => setTimeout(resolve));
    waiting[answered]?.();
  }
  await Promise.all(keys);
  assertEquals(asked, ["1", "2", "3", "4", "again", "new", "old"]);
});

Deno.test("1,024 serials wait, the oldest gives way to a newer one", async () => {
  const publicKeys = new MittwaldPublicKeys({ fetch: () => new Promise(() => {}), timeoutMs: 300 });
  const outcomes = await Promise.all(
    Array.from({ length: 1_029 }, (_, index) => {
      const begun = publicKeys.getPublicKey(`made-up-${index}`);
      return begun.catch((error) => String(error.message).replace(/^[^:]*: /, ""));
    }),
  );
  const pushedOut = outcomes.flatMap((message, index) => message.includes("1024") ? [index] : []);
  assertEquals(pushedOut, [4]);
  assertEquals(outcomes.filter((message) => message.includes("no answer")).length, 4);
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
  const ask = (serial: string) =>
    assertRejects(() => publicKeys.getPublicKey(serial), UnknownPublicKeyError);
  // Time for the requests, so that they need not wait for it.
  performance.now = () => now.call(performance) + (ahead += 1_000);
  try {
    for (let index = 0; index < 1_024; index++) await ask(`made-up-${index}`);
    await ask("made-up-0");
    assertEquals(requests, 1_024);
    await ask("made-up-1024");
    await ask("made-up-0");
    assertEquals(requests, 1_026);
  } finally {
    performance.now = now;
  }
});

Deno.test("known keys are never asked for, and have to be keys", async () => {
  const receiver = await Receiver.create();
  const asked: unknown[] = [];
  const publicKeys = new MittwaldPublicKeys({
    known: { "serial-1": receiver.signer.publicKey },
    fetch: (input) => {
      asked.push(input);
      return Promise.reject(new Error("down"));
    },
  });
  const withKnown = await Receiver.create({ publicKeys });
  const body = encode(payload("ExtensionAddedToContext"));
  assertAnswer(await withKnown.send(body, await receiver.signer.headers(body)), 200, "STORED");
  assertEquals(asked, []);
  await assertRejects(() => publicKeys.getPublicKey("toString"), PublicKeyUnavailableError);
  for (const key of ["", "AAAA", encodeBase64(new Uint8Array(32)), 7 as unknown as string]) {
    assertThrows(
      () => new MittwaldPublicKeys({ known: { "serial-1": key } }),
      TypeError,
      "serial-1",
    );
  }
});

Deno.test("a request that dies without a word does not hold its place for good", async () => {
  // As on Cloudflare Workers, where a request dies with the delivery that made it: nothing settles, no timer fires.
  let alive = false;
  const { setTimeout } = globalThis;
  const publicKeys = new MittwaldPublicKeys({
    timeoutMs: 100,
    fetch: () => alive ? Promise.resolve(Response.json({ key: KEY })) : new Promise(() => {}),
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
