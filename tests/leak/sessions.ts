/** Session tokens, checked, refused and exchanged: errors, state and answers. */

import { MstudioSessions, type SessionError } from "../../sessions/mod.ts";
import { generateSigningKey, type SigningKey } from "../../testing/mod.ts";
import { claims, EXTENSION_ID, tokenOf } from "../sessions/support.ts";
import { CANARIES, type Evidence } from "./evidence.ts";

const { secret: extensionSecret, rotatedSecret: userId } = CANARIES;

/** Checks tokens of a secret user, and exchanges them with APIs that echo their requests. */
export async function checkSessions(evidence: Evidence): Promise<void> {
  const key = await generateSigningKey("serial-1");
  type Answer = (body: string) => Response | Promise<Response>;
  const open = (more: object = {}, answer: Answer = () => Response.error()) =>
    new MstudioSessions({
      extensionId: EXTENSION_ID,
      extensionSecret,
      publicKeys: { getPublicKey: () => key.publicKey },
      timeoutMs: 500,
      fetch: async (_, init) => await answer(String(init?.body)),
      ...more,
    });
  const sessions = open();
  const token = (changes: object = {}, by: Pick<SigningKey, "sign"> = key, header?: object) =>
    tokenOf(by, claims({ sub: userId, sessionId: userId, ...changes }), header);
  const good = await token();
  await sessions.verify(good);
  evidence.inspect(sessions);

  const refused: [string, string, MstudioSessions?][] = [
    ["ERR_SESSION_INVALID", await token({}, await generateSigningKey())],
    ["ERR_SESSION_INVALID", await token({}, key, { alg: "none" })],
    ["ERR_SESSION_INVALID", await token({ exp: userId })],
    ["ERR_SESSION_INVALID", await token({ contextId: [userId] })],
    ["ERR_SESSION_INVALID", await token({ publicKeySerial: [userId] })],
    ["ERR_SESSION_INVALID", `${good}, ${good}`],
    ["ERR_SESSION_INVALID", `Bearer ${good}`],
    ["ERR_SESSION_EXPIRED", await token({ exp: 1 })],
    ["ERR_WRONG_EXTENSION", await token({ extensionId: userId })],
    ["ERR_SESSION_MISSING", ""],
    ["ERR_UNKNOWN_INSTANCE", good, open({ storage: { getInstance: () => Promise.resolve() } })],
    [
      "ERR_INSTANCE_INACTIVE",
      good,
      open({
        storage: { getInstance: () => Promise.resolve({ contextId: "p-1", active: false }) },
      }),
    ],
    [
      "ERR_PUBLIC_KEY_UNAVAILABLE",
      good,
      open({ publicKeys: { getPublicKey: () => Promise.reject(new Error("down")) } }),
    ],
  ];
  const answers: [string, Answer][] = [
    ["ERR_ACCESS_TOKEN_REFUSED", (body) => new Response(body, { status: 403, statusText: "no" })],
    ["ERR_TOKEN_UNAVAILABLE", (body) => new Response(body, { status: 500 })],
    ["ERR_TOKEN_UNAVAILABLE", (body) => new Response(`${body}}`, { status: 201 })],
    ["ERR_TOKEN_UNAVAILABLE", (body) => Response.json({ publicToken: body, expiry: body })],
    ["ERR_TOKEN_UNAVAILABLE", () => Promise.reject(new TypeError("the network is down"))],
    ["ERR_TOKEN_UNAVAILABLE", () => new Promise(() => {})],
  ];
  const attempts = [
    ...refused.map(([code, token, by = sessions]) => [code, () => by.verify(token)] as const),
    ...answers.map(([code, answer]) => [code, () => open({}, answer).accessToken(good)] as const),
  ];
  for (const [code, attempt] of attempts) {
    await evidence.fails(code, attempt);
    const response = await attempt().catch((error: SessionError) => error.toResponse());
    evidence.add("answers to pages", await (response as Response).text());
  }
}
