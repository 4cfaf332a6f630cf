import { assertEquals, assertRejects } from "@std/assert";
import { mapBounded } from "../pg/internal/map_bounded.ts";

/** Until everything has happened that does not wait for anything outside. */
const settle = () => new Promise((resolve) => setTimeout(resolve));

/** Six values, three at a time, whose calls end when they are told to. */
function controlled() {
  const calls: PromiseWithResolvers<string>[] = [];
  const mapped = mapBounded([0, 1, 2, 3, 4, 5], (value) => {
    calls[value] = Promise.withResolvers<string>();
    return calls[value].promise;
  }, 3);
  mapped.catch(() => {});
  return { calls, mapped, begun: () => Object.keys(calls).length };
}

Deno.test("mapBounded: the next value begins when any one ends, and results keep their order", async () => {
  const { calls, mapped, begun } = controlled();
  const seen: number[] = [begun()];
  for (const value of [2, 3, 1, 5, 0, 4]) {
    calls[value]!.resolve(`result ${value}`);
    await settle();
    seen.push(begun());
  }
  assertEquals(seen, [3, 4, 5, 6, 6, 6, 6]);
  assertEquals(await mapped, [0, 1, 2, 3, 4, 5].map((value) => `result ${value}`));
});

Deno.test("mapBounded: the first failure in order is thrown, when none is at work any more", async () => {
  const { calls, mapped, begun } = controlled();
  let ended = false;
  mapped.catch(() => ended = true);
  calls[2]!.reject(new Error("failure 2"));
  await settle();
  calls[0]!.resolve("result 0");
  await settle();
  // None begins any more, and what is at work is waited for.
  assertEquals([begun(), ended], [3, false]);
  // A rejection without a reason is one, too.
  calls[1]!.reject(undefined);
  assertEquals(await assertRejects(() => mapped.catch((error) => Promise.reject({ error }))), {
    error: undefined,
  });
  assertEquals(begun(), 3);
});
