// One instrument's book as the channel tells it: levels by price, made from a snapshot and changed by updates.
//
// It doesn't check that nothing is missing: the feed does, before a message comes here.

import { ticks } from "./text.js";

export class Book {
  #bids = new Map();
  #asks = new Map();
  seq = null;
  /** Whether Barons without real GPUs sell here. */
  simulated = false;

  /** Take in an event of the channel `book.SYMBOL`. */
  apply(event) {
    if (event.type === "snapshot") {
      this.#bids.clear();
      this.#asks.clear();
    }
    take(this.#bids, event.data.bids);
    take(this.#asks, event.data.asks);
    this.seq = event.seq;
    this.simulated = event.data.simulated;
  }

  /** Levels of bids, best first. */
  get bids() {
    return [...this.#bids.values()].sort((one, other) => ticks(other.price) - ticks(one.price));
  }

  /** Levels of asks, best first. */
  get asks() {
    return [...this.#asks.values()].sort((one, other) => ticks(one.price) - ticks(other.price));
  }

  /** The market at a glance; prices are null where a side is empty. */
  get top() {
    const [bids, asks] = [this.bids, this.asks];
    return {
      bid: bids[0]?.price ?? null,
      ask: asks[0]?.price ?? null,
      offered: asks.reduce((sum, level) => sum + level.quantity + level.conditional_quantity, 0),
      simulated: this.simulated,
    };
  }
}

function take(side, levels) {
  for (const level of levels) {
    if (level.orders === 0) side.delete(level.price);
    else side.set(level.price, level);
  }
}
