/** Checks session tokens: JWTs (RFC 7519) signed with EdDSA (RFC 8037). */

import { jwtVerify } from "jose/jwt/verify";
import { SessionError, SignatureInvalidError } from "../../errors.ts";
import { codeOf } from "../../internal/code_of.ts";
import type { Deadline } from "../../internal/deadline.ts";
import { LruMap } from "../../internal/lru.ts";
import { sha256 } from "../../internal/sha256.ts";
import type { VerificationKey, VerificationKeys } from "../../internal/verification_keys.ts";
import { CHECKING, type Claims, invalid, invalidClaim, readClaims, readSerial } from "./claims.ts";

/** Tolerated difference between the clocks of mStudio and this machine, in seconds. */
const TOLERANCE_S = 5;
const MAX_REMEMBERED = 1_000;
/** How long the key of a genuine token is reused without asking its provider, in milliseconds. */
const KEY_FOR_MS = 60_000;

/** Checks one extension's tokens. Remembers valid ones, which mStudio reuses for 40 seconds. */
export class TokenCheck {
  readonly #extensionId: string;
  readonly #keys: VerificationKeys;
  /** By digest of the token. */
  readonly #checked: LruMap<string, Claims> = new LruMap(MAX_REMEMBERED);
  /** The key of the latest genuine token: nearly all tokens are signed with it. */
  #latest: { readonly key: VerificationKey; readonly until: number } | undefined;

  constructor(extensionId: string, keys: VerificationKeys) {
    this.#extensionId = extensionId;
    this.#keys = keys;
  }

  /**
   * Checks a token.
   *
   * @throws {SessionError} When the token is not valid for this extension.
   */
  async check(token: string, deadline: Deadline): Promise<Claims> {
    const digest = await sha256(token);
    const known = this.#checked.get(digest);
    if (known !== undefined) {
      if (known.expiresAt + TOLERANCE_S * 1_000 > Date.now()) return known;
      this.#checked.delete(digest);
      throw expired();
    }
    const claims = readClaims(await this.#verify(token, deadline));
    // mittwald signs the tokens of all extensions with one key.
    if (claims.extensionId !== this.#extensionId) {
      throw new SessionError(
        "ERR_WRONG_EXTENSION",
        `${CHECKING}: it is for another extension`,
      );
    }
    this.#checked.set(digest, claims);
    return claims;
  }

  /** Verifies signature and times; resolves to the payload. */
  async #verify(token: string, deadline: Deadline): Promise<Record<string, unknown>> {
    const used: { key?: VerificationKey } = {};
    const use = (key: VerificationKey) => (used.key = key).key;
    try {
      return await this.#verifyWith(token, used, (serial) => {
        const { key, until } = this.#latest ?? { until: 0 };
        return key?.serial === serial && performance.now() < until
          ? use(key)
          : this.#key(serial, deadline).then(use);
      });
    } catch (error) {
      const another = used.key && codeOf(error) === "ERR_JWS_SIGNATURE_VERIFICATION_FAILED"
        ? await this.#instead(used.key, deadline)
        : undefined;
      if (another === undefined) throw toSessionError(error);
      return await this.#verifyWith(token, used, () => use(another)).catch((error) => {
        throw toSessionError(error);
      });
    }
  }

  async #verifyWith(
    token: string,
    used: { readonly key?: VerificationKey },
    keyOf: (serial: string) => Promise<CryptoKey> | CryptoKey,
  ): Promise<Record<string, unknown>> {
    const { payload } = await jwtVerify(
      token,
      // jose calls this after it has checked the algorithm in the header.
      (_header, { payload }) => keyOf(readSerial(decode(payload))),
      { algorithms: ["EdDSA"], clockTolerance: TOLERANCE_S },
    );
    if (used.key !== undefined && used.key !== this.#latest?.key) {
      this.#latest = { key: used.key, until: performance.now() + KEY_FOR_MS };
    }
    return payload;
  }

  async #key(serial: string, deadline: Deadline): Promise<VerificationKey> {
    try {
      return await deadline.run(
        "Getting the public key of a session token",
        () => this.#keys.get(serial, wait(deadline)),
      );
    } catch (cause) {
      if (cause instanceof SignatureInvalidError) throw invalid("no public key has its serial");
      throw new SessionError(
        "ERR_PUBLIC_KEY_UNAVAILABLE",
        `${CHECKING}: its public key cannot be fetched`,
        { cause },
      );
    }
  }

  #instead(used: VerificationKey, deadline: Deadline): Promise<VerificationKey | undefined> {
    return deadline.run(
      "Getting another public key of a session token",
      () => this.#keys.instead(used, wait(deadline)),
    ).catch(() => undefined);
  }
}

/** The time left, in the whole milliseconds that providers take. */
function wait(deadline: Deadline): { waitMs: number } {
  return { waitMs: Math.max(1, Math.floor(deadline.remainingMs())) };
}

/** Decodes a part of a token, garbling non-ASCII characters: ten times as fast as jose. */
function decode(part: string | Uint8Array): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(atob(String(part).replaceAll("-", "+").replaceAll("_", "/"))) ?? {};
  } catch {
    // No cause: the engine's message quotes the text.
    throw invalid("its payload is not JSON");
  }
}

function expired(): SessionError {
  return new SessionError("ERR_SESSION_EXPIRED", `${CHECKING}: it has expired`);
}

/** Maps jose's errors. No cause: jose's errors contain the claims. */
function toSessionError(error: unknown): unknown {
  switch (codeOf(error)) {
    case "ERR_JWT_EXPIRED":
      return expired();
    case "ERR_JOSE_ALG_NOT_ALLOWED":
      return invalid("its algorithm is not EdDSA");
    case "ERR_JWT_CLAIM_VALIDATION_FAILED": {
      const { claim, reason } = error as { claim: string; reason: string };
      return reason === "check_failed" ? invalid("it is not valid yet") : invalidClaim(claim);
    }
    case "ERR_JWS_SIGNATURE_VERIFICATION_FAILED":
      return invalid("its signature does not match");
    case "ERR_JOSE_NOT_SUPPORTED":
    case "ERR_JWS_INVALID":
    case "ERR_JWT_INVALID":
      return invalid("it is not a readable signed JWT");
    default:
      return error;
  }
}
