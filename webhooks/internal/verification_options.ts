/** The options that `verifyWebhook` and the handler share. */

import type { PublicKeyProvider } from "../interfaces.ts";
import { checkDuration, checkWholeNumber } from "../../internal/check_options.ts";
import { checkKeyProvider } from "../../internal/verification_keys.ts";
import type { VerifyWebhookOptions } from "../verify_options.ts";
import { SignatureCheck } from "./signature.ts";
import type { VerificationSettings } from "./verify_request.ts";

const DEFAULT_MAX_BODY_BYTES = 256 * 1024;
const DEFAULT_TIMEOUT_MS = 5_000;

/** The names of these options. */
export const VERIFICATION_OPTIONS: readonly string[] = [
  "extensionId",
  "publicKeys",
  "maxBodyBytes",
  "timeoutMs",
  "maxAgeMs",
];

// One per provider, however often the options are read: it remembers imported keys.
const signatureChecks: WeakMap<PublicKeyProvider, SignatureCheck> = new WeakMap();

/** Checks the options and fills in the defaults. */
export function readVerificationOptions(
  options: VerifyWebhookOptions,
  makePublicKeys: () => PublicKeyProvider,
): VerificationSettings {
  const { extensionId, publicKeys, maxAgeMs } = options;
  const { maxBodyBytes = DEFAULT_MAX_BODY_BYTES, timeoutMs = DEFAULT_TIMEOUT_MS } = options;
  if (typeof extensionId !== "string" || extensionId === "") {
    throw new TypeError("Reading the option extensionId: it is missing, empty or not a string");
  }
  if (publicKeys !== undefined) checkKeyProvider(publicKeys, "webhook");
  return {
    extensionId,
    signatures: signatureCheckOf(publicKeys ?? makePublicKeys()),
    maxBodyBytes: checkWholeNumber("maxBodyBytes", maxBodyBytes, Number.MAX_SAFE_INTEGER),
    timeoutMs: checkDuration("timeoutMs", timeoutMs),
    maxAgeMs: maxAgeMs === undefined
      ? undefined
      : checkWholeNumber("maxAgeMs", maxAgeMs, Number.MAX_SAFE_INTEGER),
  };
}

function signatureCheckOf(publicKeys: PublicKeyProvider): SignatureCheck {
  let check = signatureChecks.get(publicKeys);
  if (check === undefined) {
    check = new SignatureCheck(publicKeys);
    signatureChecks.set(publicKeys, check);
  }
  return check;
}
