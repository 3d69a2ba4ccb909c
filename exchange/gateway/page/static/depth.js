// The chosen market: its levels as a ladder around the spread, and its last trades.
//
// Both tables keep their rows and change the texts in them, so that nothing jumps while prices move.

import { byId, clock, count, kindName, make, notice, price, say, sessionNote, ticks } from "./text.js";

const LEVELS = 10;
/** Rows of a side at least; both sides have as many as the longer needs, so that the spread stays in the middle. */
const MIN_ROWS = 5;
const TRADES = 20;

export class Depth {
  #asks = ladder(byId("asks"), "ask");
  #bids = ladder(byId("bids"), "bid");
  #trades = tape(byId("trades"));
  #session = "continuous";
  #book = null;

  /** Name the market that is shown from now on; its book and trades aren't known yet. */
  open(instrument) {
    say(byId("book-title"), `${instrument.sku}`);
    say(byId("book-note"), `${instrument.region}, ${kindName(instrument.kind)}. Dollars per GPU-hour.`);
    notice(byId("book-session"), "");
    this.#session = "continuous";
    this.showBook(null);
    this.showTrades(null);
  }

  /** `row`: of a channel `instruments.KIND`. */
  showSession(row) {
    notice(byId("book-session"), sessionNote(row));
    this.#session = row.session;
    this.#showSpread();
  }

  showBook(book) {
    const [bids, asks] = [book?.bids ?? [], book?.asks ?? []];
    const largest = Math.max(1, ...[...bids.slice(0, LEVELS), ...asks.slice(0, LEVELS)].map(whole));
    // The best ask stands next to the spread, so asks are shown from the bottom row up.
    const rows = Math.max(MIN_ROWS, Math.min(LEVELS, Math.max(bids.length, asks.length)));
    fill(this.#asks.toReversed(), asks, rows, largest);
    fill(this.#bids, bids, rows, largest);
    this.#book = book;
    this.#showSpread();
    byId("book-simulated").hidden = !book?.simulated;
    say(byId("book-seq"), book?.seq == null ? "–" : count(book.seq));
    say(byId("depth-note"), note(bids.length, asks.length, book !== null));
  }

  #showSpread() {
    say(byId("spread"), spread(this.#book?.bids[0], this.#book?.asks[0], this.#session));
  }

  /** Trades, newest first; null while they aren't known. */
  showTrades(known) {
    const trades = known ?? [];
    this.#trades.forEach(({ row, cells }, index) => {
      const trade = trades[index];
      row.hidden = !trade;
      if (!trade) return;
      row.dataset.side = trade.auction ? "" : trade.takerSide;
      row.dataset.trade = trade.id;
      say(cells[0], clock(trade.timeMs));
      say(cells[1], trade.price);
      say(cells[2], count(trade.quantity));
      // In an auction both sides rested: nobody was the taker. Who displaced a lease met nobody's order.
      const taker = trade.auction ? "auction" : trade.displacement ? "displaced" : trade.takerSide;
      say(cells[3], trade.simulated ? `${taker} *` : taker);
    });
    notice(byId("trades-note"), known === null ? "Loading the last trades." : trades.length ? "" : "No trades yet.");
    byId("trades-simulated").hidden = !trades.some((trade) => trade.simulated);
  }
}

/** The trades of one market, newest first, each once, from wherever they come. */
export class Tape {
  #byId = new Map();

  add(trades) {
    for (const trade of trades) this.#byId.set(trade.id, trade);
    for (const old of [...this.#byId.keys()].sort().slice(0, -TRADES)) this.#byId.delete(old);
  }

  /** Ids sort as trades happened. */
  get trades() {
    return [...this.#byId.values()].sort((one, other) => (one.id < other.id ? 1 : -1));
  }
}

/** A trade of REST. */
export function tradeOfRest(trade) {
  return { ...trade, takerSide: trade.taker_side, timeMs: Date.parse(trade.time) };
}

/** Trades of an event of the channel `trades.SYMBOL`. */
export function tradesOfEvent(event) {
  const timeMs = event.ts_us / 1_000;
  return event.data.map((trade) => ({ ...trade, id: trade.trade_id, takerSide: trade.taker_side, timeMs }));
}

export { TRADES };

function ladder(body, side) {
  const rows = Array.from({ length: LEVELS }, () => {
    const cells = [make("th", { scope: "row" }), make("td"), make("td"), make("td")];
    const row = make("tr", { class: side }, ...cells);
    return { row, cells };
  });
  body.replaceChildren(...rows.map(({ row }) => row));
  return rows;
}

function tape(body) {
  const rows = Array.from({ length: TRADES }, () => {
    const cells = [make("td"), make("td"), make("td"), make("td")];
    const row = make("tr", {}, ...cells);
    row.hidden = true;
    return { row, cells };
  });
  body.replaceChildren(...rows.map(({ row }) => row));
  return rows;
}

function fill(side, levels, rows, largest) {
  side.forEach(({ row, cells }, index) => {
    const level = levels[index];
    row.hidden = index >= rows;
    const texts = level
      ? [level.price, count(level.quantity), level.conditional_quantity ? count(level.conditional_quantity) : "–", count(level.orders)]
      : ["", "", "", ""];
    row.style.setProperty("--share", level ? String(whole(level) / largest) : "0");
    cells.forEach((cell, column) => say(cell, texts[column]));
  });
}

function whole(level) {
  return level.quantity + level.conditional_quantity;
}

/** Outside `continuous` bids and asks may cross; in it only those that don't fit each other's conditions. */
function spread(bid, ask, session) {
  if (!bid || !ask) return "–";
  const gap = ticks(ask.price) - ticks(bid.price);
  if (gap >= 0) return price(gap);
  return `−${price(-gap)}, ${session === "continuous" ? "among conditional orders" : "crossed until an auction clears it"}`;
}

function note(bids, asks, known) {
  if (!known) return "";
  if (bids + asks === 0) return "No orders stand here.";
  const levels = `${count(asks)} ask and ${count(bids)} bid ${asks + bids === 1 ? "level" : "levels"}`;
  return Math.max(bids, asks) > LEVELS ? `${levels}; the best ${LEVELS} of a side are shown.` : `${levels}.`;
}
