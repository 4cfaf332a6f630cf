import { assert, assertEquals, assertRejects } from "@std/assert";
import { mapBounded } from "../pg/internal/map_bounded.ts";

/** Calls that end when they are told to. */
function controlledCalls() {
  const begun: number[] = [];
  const calls: PromiseWithResolvers<string>[] = [];
  return {
    begun,
    map(value: number) {
      begun.push(value);
      return (calls[value] = Promise.withResolvers<string>()).promise;
    },
    async end(value: number) {
      calls[value]!.resolve(`result ${value}`);
      await settle();
    },
    async fail(value: number) {
      calls[value]!.reject(new Error(`failure ${value}`));
      await settle();
    },
  };
}

/** Until everything has happened that does not wait for anything outside. */
const settle = () => new Promise((resolve) => setTimeout(resolve));

const numbers = (count: number) => Array.from({ length: count }, (_, index) => index);

Deno.test("mapBounded: the next value begins when any one ends, and results keep their order", async () => {
  const { map, begun, end } = controlledCalls();
  const mapped = mapBounded(numbers(6), map, 3);
  await settle();
  assertEquals(begun, [0, 1, 2]);
  await end(2);
  assertEquals(begun, [0, 1, 2, 3]);
  await end(3);
  await end(1);
  assertEquals(begun, [0, 1, 2, 3, 4, 5]);
  for (const value of [5, 0, 4]) await end(value);
  assertEquals(await mapped, numbers(6).map((value) => `result ${value}`));
});

Deno.test("mapBounded: 256 at once unless told otherwise", async () => {
  let atWork = 0;
  let most = 0;
  await mapBounded(numbers(2_000), async (value) => {
    most = Math.max(most, ++atWork);
    if (value % 7 === 0) await settle();
    else await Promise.resolve();
    atWork--;
  });
  assertEquals(most, 256);
});

Deno.test("mapBounded: the first failure in order is thrown, when none is at work any more", async () => {
  const { map, begun, end, fail } = controlledCalls();
  let thrown: unknown;
  const mapped = mapBounded(numbers(10), map, 4).catch((error) => thrown = error);
  await settle();
  await fail(2);
  await end(3);
  // None begins any more, and what is at work is waited for.
  assertEquals(begun, [0, 1, 2, 3]);
  assertEquals(thrown, undefined);
  await fail(1);
  await end(0);
  await mapped;
  assert(thrown instanceof Error);
  assertEquals(thrown.message, "failure 1");
  assertEquals(begun, [0, 1, 2, 3]);
});

Deno.test("mapBounded: nothing to map, and a function that throws instead of rejecting", async () => {
  assertEquals(await mapBounded([], () => Promise.reject(new Error("called"))), []);
  const error = new Error("thrown");
  assertEquals(
    await assertRejects(() =>
      mapBounded([1], () => {
        throw error;
      })
    ),
    error,
  );
  assertEquals(
    await assertRejects(() => mapBounded([1], () => Promise.reject(undefined)).then(assertNever)),
    undefined,
  );
});

function assertNever(): never {
  throw new Error("a rejection without a reason was taken for none");
}
