/** Encrypts the parameters of a query. */

import { PendingCiphertext } from "./pending_ciphertext.ts";
import { findStoredParameters } from "./value_positions.ts";

/**
 * The parameters with their pending ciphertexts encrypted, all of them together, or `undefined` where
 * there are none.
 *
 * @throws {TypeError} One of them is not a value that the statement stores.
 */
export async function encryptParameters(
  sql: string,
  params: readonly unknown[],
): Promise<unknown[] | undefined> {
  if (!params.some((param) => param instanceof PendingCiphertext)) return undefined;
  const stored = findStoredParameters(sql);
  for (const [index, param] of params.entries()) {
    if (param instanceof PendingCiphertext && !stored.has(index)) {
      throw new TypeError(
        "Sending a query: it uses a value of an encrypted column elsewhere than in VALUES or SET, " +
          "encrypted values cannot be compared",
      );
    }
  }
  return await Promise.all(
    params.map((param) => param instanceof PendingCiphertext ? param.encrypt() : param),
  );
}
