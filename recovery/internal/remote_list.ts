/** The list of all instances that mStudio has, read in pages while it changes. */

import { CompareError } from "../../errors.ts";
import type { RemoteInstance } from "./answers.ts";
import { type Mstudio, PAGE_SIZE, REQUESTS_AT_ONCE } from "./mstudio.ts";
import { forEachOf } from "./waiting.ts";

/** How often the list is read where it changed while it was read. */
const PASSES = 3;

/** Is told the instances of a page that were not on any before it, and where the page begins. */
export type Visit = (instances: readonly RemoteInstance[], skip: number) => Promise<void>;

/**
 * Reads the list. Pages are counted, so where an instance is removed, all behind it move up, and one is on no page that
 * was read. Each page therefore begins with the last instance of the one before: where it does not, or where fewer have
 * been seen than there are, the list is read again.
 */
export class RemoteList {
  /** The ids of all instances that were listed: about 100 bytes each. */
  readonly ids = new Set<string>();
  #size = PAGE_SIZE;
  #total = 0;

  constructor(readonly mstudio: Mstudio, readonly attempt: string) {}

  /** How many instances there are, as far as that is known. */
  get total(): number {
    return Math.max(this.#total, this.ids.size);
  }

  /** Reads the page that begins somewhere. */
  async page(skip: number): Promise<readonly RemoteInstance[]> {
    const { items, total } = await this.mstudio.page(skip, this.#size);
    if (total !== undefined) this.#total = total;
    return items;
  }

  /**
   * Reads all of it.
   *
   * @param first Is told the first page before any other is read.
   * @param visit See there.
   * @throws {CompareError} It never held still, or has fewer instances than it says.
   */
  async read(
    first: (instances: readonly RemoteInstance[]) => Promise<void>,
    visit: Visit,
  ): Promise<void> {
    for (let pass = 1; pass <= PASSES; pass++) {
      const start = await this.page(0);
      if (pass === 1) {
        // An API that hands out fewer at once than it was asked for.
        if (start.length > 1 && start.length < this.#total) this.#size = start.length;
        await first(start);
      }
      const isStill = await this.#readOnce(start, visit);
      if (this.ids.size < this.#total) continue;
      if (isStill || pass === PASSES) return;
    }
    throw new CompareError(
      "ERR_MSTUDIO_UNAVAILABLE",
      `${this.attempt}: the API lists ${this.ids.size} of ${this.#total} instances`,
    );
  }

  async #readOnce(start: readonly RemoteInstance[], visit: Visit): Promise<boolean> {
    const step = Math.max(1, this.#size - 1);
    /** By where they begin: the first and the last instance of a page. */
    const edges = new Map<number, readonly [first: string, last: string]>();
    let end = Infinity;
    const skips = function* () {
      for (let skip = 0; skip < end; skip += step) yield skip;
    };
    await forEachOf(skips(), REQUESTS_AT_ONCE, async (skip) => {
      const page = skip === 0 ? start : await this.page(skip);
      if (page.length < this.#size) end = Math.min(end, skip + step);
      if (page.length === 0) return;
      edges.set(skip, [page[0]!.id, page.at(-1)!.id]);
      const added = page.filter(({ id }) => !this.ids.has(id));
      for (const { id } of added) this.ids.add(id);
      if (added.length > 0) await visit(added, skip);
    });
    return [...edges].every(([skip, [, last]]) => {
      const next = edges.get(skip + step);
      return next === undefined || next[0] === last;
    });
  }
}
