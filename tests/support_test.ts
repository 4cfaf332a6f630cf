/** The assertions behind all tests can fail: those of `@std` from JSR, and the stand-ins. */
import { assertEquals, assertNotEquals, assertRejects, assertThrows } from "@std/assert";

/** Tells whether an assertion fails. These tests cannot rely on the assertions themselves. */
async function fails(assertion: () => unknown): Promise<boolean> {
  try {
    await assertion();
    return false;
  } catch (error) {
    if ((error as Error).name === "AssertionError") return true;
    throw error;
  }
}

Deno.test("assertions fail for different values and errors, and for no others", async () => {
  const value = () => ({
    bytes: new Uint8Array([1]),
    map: new Map([["a", [1]]]),
    zero: 0,
    none: NaN,
  });
  const throwing = () => {
    throw new RangeError("too far: 7");
  };
  const rejecting = () => Promise.reject(new RangeError("too far: 7"));
  const holding = [
    () => assertEquals(value(), { ...value(), zero: -0 }),
    () => assertThrows(throwing, RangeError, "far: 7"),
    () => assertRejects(rejecting, RangeError, "far: 7"),
  ];
  const failing = [
    () => assertNotEquals(value(), value()),
    ...[{ zero: 1 }, { more: undefined }, { bytes: new Uint8Array([2]) }, { map: new Map() }]
      .map((other) => () => assertEquals<object>(value(), { ...value(), ...other })),
    () => assertThrows(() => {}),
    () => assertThrows(throwing, TypeError),
    () => assertThrows(throwing, RangeError, "far: 8"),
    () => assertRejects(() => Promise.resolve(1), Error),
    () => assertRejects(rejecting, TypeError),
    // An error thrown before there is a promise does not count.
    () => assertRejects(throwing, RangeError),
  ];
  for (const assertion of [...holding, ...failing]) {
    const expected = failing.includes(assertion as typeof failing[number]);
    if (await fails(assertion) !== expected) throw new Error(`Not as expected: ${assertion}`);
  }
});
