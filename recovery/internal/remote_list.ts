/** Reads mStudio's list of all instances in pages while it changes. */

import { CompareError } from "../../errors.ts";
import type { RemoteInstance } from "./answers.ts";
import { type Mstudio, PAGE_SIZE, REQUESTS_AT_ONCE } from "./mstudio.ts";
import { forEachOf } from "./waiting.ts";

/** How often to read a list that keeps changing. */
const PASSES = 3;

/** Receives a page's new instances and the page's offset. */
export type Visit = (instances: readonly RemoteInstance[], skip: number) => Promise<void>;

/**
 * Reads the list. Pages are addressed by offset, so removing an instance shifts all later ones, and
 * one of them slips between two pages. Each page therefore overlaps the previous one by one
 * instance. If an overlap does not match, or fewer instances were seen than the list has, the list
 * is read again.
 */
export class RemoteList {
  /** The ids of all instances that were listed: about 100 bytes each. */
  readonly ids = new Set<string>();
  #size = PAGE_SIZE;
  #total = 0;

  constructor(readonly mstudio: Mstudio, readonly attempt: string) {}

  /** How many instances there are, as far as is known. */
  get total(): number {
    return Math.max(this.#total, this.ids.size);
  }

  /** Reads the page at an offset. */
  async page(skip: number): Promise<readonly RemoteInstance[]> {
    const { items, total } = await this.mstudio.page(skip, this.#size);
    if (total !== undefined) this.#total = total;
    return items;
  }

  /**
   * Reads the whole list.
   *
   * @param first Receives the first page before any other is read.
   * @param visit Receives each page's new instances.
   * @throws {CompareError} When the API lists fewer instances than its total.
   */
  async read(
    first: (instances: readonly RemoteInstance[]) => Promise<void>,
    visit: Visit,
  ): Promise<void> {
    for (let pass = 1; pass <= PASSES; pass++) {
      const start = await this.page(0);
      if (pass === 1) {
        // The API returned fewer per page than requested.
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
    /** The first and the last instance of each page, by offset. */
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
