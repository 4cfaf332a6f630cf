/** Comparisons with an API that refuses and echoes its requests. */

import { compareWithMstudio, type RecoverableStorage } from "../../recovery/mod.ts";
import { CANARIES, CONTROL, type Evidence } from "./evidence.ts";

const { rotatedSecret: apiToken } = CANARIES;

/** Compares a storage with mStudio, with a secret API token. */
export async function compareInstances(
  evidence: Evidence,
  storage: RecoverableStorage,
): Promise<void> {
  const compare = (status: number, answer: (sent: string) => BodyInit) => () =>
    compareWithMstudio({
      storage,
      extensionId: CONTROL,
      apiToken,
      fetch: (_, init) => {
        const sent = JSON.stringify([...new Headers(init?.headers)]);
        return Promise.resolve(new Response(answer(sent), { status }));
      },
    });
  await evidence.fails("ERR_API_TOKEN_REFUSED", compare(401, (sent) => sent));
  await evidence.fails(
    "ERR_MSTUDIO_UNAVAILABLE",
    compare(418, (sent) => sent),
    compare(200, (sent) => sent),
    compare(200, (sent) => `${sent}]`),
  );
}
