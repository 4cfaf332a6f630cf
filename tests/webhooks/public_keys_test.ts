import { assert, assertEquals, assertLessOrEqual, assertRejects } from "@std/assert";
import { encodeBase64 } from "@std/encoding";
import {
  BusyError,
  MittwaldPublicKeys,
  PublicKeyUnavailableError,
  UnknownPublicKeyError,
} from "../../webhooks/mod.ts";
import { assertAnswer, encode, payload, Receiver, signatureHeaders } from "./support.ts";

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

Deno.test("10,000 made-up serials at once: at most 4 requests at a time, and the key in use stays", async () => {
  await using endpoint = new Endpoint(mittwald);
  const publicKeys = new MittwaldPublicKeys({ apiUrl: endpoint.url });
  const receiver = await Receiver.create({ publicKeys });
  endpoint.behaviour = (request) =>
    serialOf(request) === "serial-1"
      ? Response.json({ key: receiver.signer.publicKey })
      : mittwald(request);
  const body = payload("ExtensionAddedToContext");
  assertAnswer(await receiver.deliver(body), 200, "STORED");

  const bytes = encode(body);
  const { "X-Marketplace-Signature": signature = "" } = await receiver.signer.headers(bytes);
  const answers = await Promise.all(Array.from({ length: 10_000 }, async (_, i) => {
    const { status, answer } = await receiver.send(
      bytes,
      signatureHeaders(`made-up-${i}`, signature),
    );
    return `${status} ${answer.code}`;
  }));
  assertEquals(new Set(answers), new Set(["401 ERR_SIGNATURE_INVALID", "503 ERR_BUSY"]));
  assertLessOrEqual(endpoint.mostAtOnce, 4);
  assertEquals(receiver.storage.calls, { upsertExtension: 1 });

  assertAnswer(await receiver.deliver(body), 200, "STORED");
  assertEquals(endpoint.paths.filter((path) => path.endsWith("/serial-1")).length, 1);
});

Deno.test("10,000 made-up serials one after another: 1,024 requests a minute, and the key in use stays", async () => {
  await using endpoint = new Endpoint(mittwald);
  const publicKeys = new MittwaldPublicKeys({ apiUrl: endpoint.url });
  await publicKeys.getPublicKey("known-1");
  const ask = async (serial: string) => {
    try {
      return await publicKeys.getPublicKey(serial);
    } catch (error) {
      return error instanceof Error ? error.constructor : error;
    }
  };
  const outcomes = new Map<unknown, number>();
  for (let i = 0; i < 10_000; i++) {
    const outcome = await ask(`made-up-${i}`);
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  }
  assertEquals(
    outcomes,
    new Map<unknown, number>([[UnknownPublicKeyError, 1_024], [BusyError, 8_976]]),
  );
  assertEquals(endpoint.paths.length, 1 + 1_024);

  assertEquals(await ask("known-1"), KEY);
  assertEquals(await ask("made-up-0"), UnknownPublicKeyError);
  assertEquals(endpoint.paths.length, 1 + 1_024);
  // A minute later there is room again, for keys and for made-up serials.
  assertEquals(await later(61_000, () => ask("known-2")), KEY);
  assertEquals(await later(61_000, () => ask("made-up-9999")), UnknownPublicKeyError);
});

Deno.test("a request that dies without a word does not hold its place for good", async () => {
  // As on Cloudflare Workers, where a request dies with the delivery that made it: nothing settles, no timer fires.
  let alive = false;
  const { setTimeout } = globalThis;
  const { now } = performance;
  const publicKeys = new MittwaldPublicKeys({
    timeoutMs: 1_000,
    fetch: () => alive ? Promise.resolve(Response.json({ key: KEY })) : new Promise(() => {}),
  });
  try {
    globalThis.setTimeout = (() => 0) as unknown as typeof setTimeout;
    for (let i = 0; i < 4; i++) publicKeys.getPublicKey(`known-${i}`);
    await assertRejects(() => publicKeys.getPublicKey("known-4"), BusyError);
    alive = true;
    await assertRejects(() => publicKeys.getPublicKey("known-4"), BusyError);
    performance.now = () => now.call(performance) + 2_001;
    assertEquals(await publicKeys.getPublicKey("known-4"), KEY);
    assertEquals(await publicKeys.getPublicKey("known-0"), KEY);
  } finally {
    globalThis.setTimeout = setTimeout;
    performance.now = now;
  }
});
