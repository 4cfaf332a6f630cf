/** Sessions on any runtime, with a storage in memory and a simulated mStudio. */
import { assertEquals } from "@std/assert";
import { MstudioSessions } from "../../sessions/mod.ts";
import { generateSigningKey, SimulatedMstudio } from "../../testing/mod.ts";
import {
  assertRefused,
  claims,
  EXTENSION_ID,
  openSessions,
  part,
  requestWith,
  tokenOf,
} from "../sessions/support.ts";
import type { BoundCase } from "./tap.ts";

const encode = (text: string) => new TextEncoder().encode(text);
const toBase64 = (bytes: ArrayBuffer) => btoa(String.fromCharCode(...new Uint8Array(bytes)));

/** Simulates mStudio and the page's instance. */
async function simulate() {
  const mstudio = await SimulatedMstudio.create({
    extensionId: EXTENSION_ID,
    target: () => new Response(),
    newSecretRefusedMs: 0,
  });
  const paths: string[] = [];
  const fetch = (input: RequestInfo | URL, init?: RequestInit) => {
    const request = new Request(input, init);
    paths.push(new URL(request.url).pathname);
    return mstudio.api(request);
  };
  const instance = await mstudio.addInstance({ context: { id: "c-1", kind: "customer" } });
  return { mstudio, instance, fetch, paths, [Symbol.asyncDispose]: () => mstudio.close() };
}

export const sessions: readonly BoundCase[] = [
  {
    name: "a page's session, its stored instance, and its user's access token",
    async run() {
      await using simulated = await simulate();
      const { mstudio, instance, fetch, paths } = simulated;
      const row = { id: instance.id, contextId: "c-1", active: true, plan: "gold" };
      const sessions = new MstudioSessions({
        extensionId: EXTENSION_ID,
        extensionSecret: mstudio.extensionSecret,
        storage: { getInstance: (id) => Promise.resolve(id === instance.id ? row : undefined) },
        fetch,
      });
      const token = await instance.sessionToken({ userId: "ada", sessionId: "s", scopes: ["a"] });
      const session = await sessions.verify(requestWith(token));
      const { userId, sessionId, scopes, context, variantKey, extensionInstanceId } = session;
      assertEquals([userId, sessionId, scopes, variantKey], ["ada", "s", ["a"], null]);
      assertEquals([context, extensionInstanceId], [{ id: "c-1", kind: "customer" }, instance.id]);
      assertEquals(session.instance, row);
      assertEquals(session.expiresAt.getTime() > Date.now(), true);
      assertEquals((await sessions.verify(token)).userId, "ada");
      assertEquals(paths, ["/v2/public-keys/latest"]);

      const access = await sessions.accessToken(requestWith(token));
      assertEquals(mstudio.sessionOfToken(access.token)?.userId, "ada");
      assertEquals(access.expiresAt.getTime() > Date.now(), true);
      assertEquals(paths.at(-1), "/v2/authenticate-session-token");
      row.active = false;
      await assertRefused("ERR_INSTANCE_INACTIVE", () => sessions.verify(token));
      row.contextId = "c-2";
      await assertRefused("ERR_UNKNOWN_INSTANCE", () => sessions.verify(token));
    },
  },
  {
    name: "a token of another extension, of another key, of a key of webhooks",
    async run() {
      await using simulated = await simulate();
      const { mstudio, instance, fetch } = simulated;
      const sessions = new MstudioSessions({ extensionId: EXTENSION_ID, fetch });
      await sessions.verify(await instance.sessionToken());
      const another = await instance.sessionToken({ forge: { extensionId: "another" } });
      await assertRefused("ERR_WRONG_EXTENSION", () => sessions.verify(another));
      const forged = await instance.sessionToken({ forge: true });
      await assertRefused("ERR_SESSION_INVALID", () => sessions.verify(forged), "does not match");

      const payload = part(claims({ publicKeySerial: mstudio.serial }));
      const signed = `${part({ alg: "EdDSA" })}.${payload}`;
      const headers = await mstudio.sign(signed);
      const signature = headers["X-Marketplace-Signature"]!
        .replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
      await assertRefused(
        "ERR_SESSION_INVALID",
        () => sessions.verify(`${signed}.${signature}`),
        "no public key has its serial",
      );
    },
  },
  {
    name: "no token, two, one too long, and a malformed one",
    async run() {
      const { sessions, token, asked } = await openSessions();
      const none = new Request("https://extension.example/");
      for (const source of [none, requestWith(""), "", null, undefined]) {
        await assertRefused("ERR_SESSION_MISSING", () => sessions.verify(source));
      }
      const good = await token();
      const twice = new Request("https://extension.example/", {
        headers: [["x-session-token", good], ["x-session-token", good]],
      });
      await assertRefused("ERR_SESSION_INVALID", () => sessions.verify(twice), "more than one");
      const [header, payload, signature] = good.split(".");
      const malformed = [
        "token",
        `Bearer ${good}`,
        `${header}.${payload}`,
        `${header}.${payload}.`,
        `${good}.${signature}`,
        `${good}é`,
        `${header}.${payload}=.${signature}`,
        `..`,
      ];
      for (const text of malformed) {
        await assertRefused("ERR_SESSION_INVALID", () => sessions.verify(text), "form of a signed");
      }
      const long = `${good}${"A".repeat(16_384)}`;
      await assertRefused("ERR_SESSION_INVALID", () => sessions.verify(long), "longer than");
      assertEquals(asked, []);
      assertEquals((await sessions.verify(good)).userId, "user-1");
    },
  },
  {
    name: "an algorithm other than EdDSA: none, HS256, RS256, ES256, and an unknown one",
    async run() {
      const { sessions, key, asked } = await openSessions();
      const hmacKey = await crypto.subtle.importKey(
        "raw",
        // The attack: the public key as the secret of an HMAC.
        encode(key.publicKey),
        { name: "HMAC", hash: "SHA-256" },
        false,
        ["sign"],
      );
      const rsa = await crypto.subtle.generateKey(
        {
          name: "RSASSA-PKCS1-v1_5",
          modulusLength: 2_048,
          publicExponent: Uint8Array.of(1, 0, 1),
          hash: "SHA-256",
        },
        false,
        ["sign", "verify"],
      ) as CryptoKeyPair;
      const signers = {
        HS256: async (bytes: Uint8Array) =>
          toBase64(await crypto.subtle.sign("HMAC", hmacKey, new Uint8Array(bytes))),
        RS256: async (bytes: Uint8Array) =>
          toBase64(
            await crypto.subtle.sign("RSASSA-PKCS1-v1_5", rsa.privateKey, new Uint8Array(bytes)),
          ),
        ...Object.fromEntries(
          ["none", "ES256", "Ed25519", "eddsa", "EdDSA ", "NONE", ""].map((alg) => [alg, key.sign]),
        ),
      };
      for (const [alg, sign] of Object.entries(signers)) {
        const token = await tokenOf({ sign }, claims(), { alg, typ: "JWT" });
        await assertRefused("ERR_SESSION_INVALID", () => sessions.verify(token));
      }
      const headers = [
        {},
        { alg: ["EdDSA"] },
        { alg: null },
        [],
        "null",
        "{",
        { alg: "EdDSA", crit: ["x"], x: 1 },
        { alg: "EdDSA", crit: ["b64"], b64: false },
      ];
      for (const header of headers) {
        const token = await tokenOf(key, claims(), header);
        await assertRefused("ERR_SESSION_INVALID", () => sessions.verify(token));
      }
      // Keys in the header are ignored.
      const jwk = { kty: "OKP", crv: "Ed25519", x: "AAAA" };
      const forger = await generateSigningKey("serial-1");
      for (const more of [{ jwk }, { jku: "https://evil.example/" }, { kid: "another" }]) {
        const header = { alg: "EdDSA", ...more };
        assertEquals(
          (await sessions.verify(await tokenOf(key, claims(), header))).userId,
          "user-1",
        );
        const forged = await tokenOf(forger, claims(), header);
        await assertRefused("ERR_SESSION_INVALID", () => sessions.verify(forged), "does not match");
      }
      assertEquals(new Set(asked), new Set(["serial-1"]));
    },
  },
  {
    name: "a changed payload, header or signature, also after the token was remembered",
    async run() {
      const { sessions, token } = await openSessions();
      const good = await token();
      const [header, payload, signature] = good.split(".") as [string, string, string];
      const changed = [
        `${header}.${part(claims({ sub: "admin" }))}.${signature}`,
        `${part({ alg: "EdDSA" })}.${payload}.${signature}`,
        `${header}.${payload}.${signature.replace(/^./, (first) => first === "A" ? "B" : "A")}`,
        `${header}.${payload}.${signature.slice(0, -2)}`,
      ];
      for (let round = 0; round < 2; round++) {
        for (const each of changed) {
          await assertRefused("ERR_SESSION_INVALID", () => sessions.verify(each));
        }
        assertEquals((await sessions.verify(good)).userId, "user-1");
      }
    },
  },
  {
    name: "an invalid serial: empty, a path, 500 characters, no text, missing",
    async run() {
      await using simulated = await simulate();
      const { instance, fetch, paths } = simulated;
      const sessions = new MstudioSessions({ extensionId: EXTENSION_ID, fetch });
      const serials = ["", ".", "..", "latest", "x".repeat(500), 7, null, undefined, ["serial-1"]];
      for (const publicKeySerial of serials) {
        const token = await instance.sessionToken({ forge: { publicKeySerial } });
        await assertRefused("ERR_SESSION_INVALID", () => sessions.verify(token));
      }
      assertEquals(paths, []);
      for (const publicKeySerial of ["../../v2/user", "a/b", "?format=spki", "ä"]) {
        const token = await instance.sessionToken({ forge: { publicKeySerial } });
        await assertRefused("ERR_SESSION_INVALID", () => sessions.verify(token));
      }
      assertEquals(paths.every((path) => path.startsWith("/v2/public-keys/")), true);
    },
  },
  {
    name: "times: expired with tolerance, not yet valid, missing, and of the wrong type",
    async run() {
      const { sessions, token } = await openSessions();
      const now = () => Math.floor(Date.now() / 1_000);
      const verify = async (changes: Record<string, unknown>) =>
        await sessions.verify(await token(changes));
      assertEquals((await verify({ exp: now() - 3 })).userId, "user-1");
      assertEquals((await verify({ nbf: now() + 3 })).userId, "user-1");
      assertEquals((await verify({ exp: now() + 30.5 })).expiresAt.getTime() > Date.now(), true);
      for (const exp of [now() - 7, 0, -1]) {
        await assertRefused("ERR_SESSION_EXPIRED", () => verify({ exp }));
      }
      await assertRefused(
        "ERR_SESSION_INVALID",
        () => verify({ nbf: now() + 8 }),
        "it is not valid yet",
      );
      for (const exp of [undefined, null, "9999999999", true, 1e300, {}]) {
        await assertRefused("ERR_SESSION_INVALID", () => verify({ exp }), "its claim exp is");
      }
      const endless = JSON.stringify(claims({ exp: 0 })).replace('"exp":0', '"exp":1e999');
      const { key, sessions: others } = await openSessions();
      const token2 = await tokenOf(key, endless);
      await assertRefused("ERR_SESSION_INVALID", () => others.verify(token2), "its claim exp is");
      await assertRefused("ERR_SESSION_INVALID", () => verify({ nbf: "soon" }), "its claim nbf is");
      await assertRefused("ERR_SESSION_INVALID", () => verify({ iat: "now" }), "its claim iat is");
    },
  },
  {
    name: "claims: missing, of the wrong type, and optional",
    async run() {
      const { sessions, token, key } = await openSessions();
      const verify = async (changes: Record<string, unknown>) =>
        await sessions.verify(await token(changes));
      const texts = ["sub", "sessionId", "extensionId", "extensionInstanceId", "contextId"];
      for (const name of texts) {
        for (const value of [undefined, null, "", 7, ["user-1"], { toString: "x" }]) {
          const found = `its claim ${name} is missing or has the wrong type`;
          await assertRefused("ERR_SESSION_INVALID", () => verify({ [name]: value }), found);
        }
      }
      const wrong = {
        context: ["server", undefined, null, 1, "Project"],
        scopes: ["project:read", 1, {}, [1], [["project:read"]], [null]],
        variantKey: [7, [], {}, ""],
        authenticatableWithoutSecret: ["true", 1, {}],
      };
      for (const [name, values] of Object.entries(wrong)) {
        for (const value of values) {
          await assertRefused(
            "ERR_SESSION_INVALID",
            () => verify({ [name]: value }),
            `its claim ${name} is`,
          );
        }
      }
      for (const payload of ["null", "[]", '"text"', "7", "{", "", "\ufeff{}"]) {
        const text = await tokenOf(key, payload);
        await assertRefused("ERR_SESSION_INVALID", () => sessions.verify(text));
      }
      const bare = await verify({
        ...{ scopes: undefined, variantKey: undefined, authenticatableWithoutSecret: undefined },
        iat: undefined,
        context: "organization",
        aud: 7,
        iss: {},
        unheard: "of",
      });
      assertEquals([bare.scopes, bare.variantKey, bare.context.kind], [[], null, "customer"]);
      assertEquals((await verify({ scopes: null, variantKey: null })).scopes, []);
      // Inherited properties are not claims.
      const proto = await tokenOf(key, `{"__proto__": ${JSON.stringify(claims())}}`);
      await assertRefused("ERR_SESSION_INVALID", () => sessions.verify(proto));
    },
  },
];
