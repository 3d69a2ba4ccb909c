// The forward curve of the chosen market: a row for each listed period, with what it costs.
//
// A snapshot has all periods in order of delivery, an update those that changed, each whole. Prices are the API's own strings.

import { byId, make, notice, say } from "./text.js";

/** By the form of its name: how long a period is, in the order in which the kinds stand. */
const KINDS = [
  ["Days", /^\d{4}-\d\d-\d\d$/],
  ["Weeks", /^\d{4}-W\d\d$/],
  ["Months", /^\d{4}-\d\d$/],
  ["Quarters", /^\d{4}Q\d$/],
  ["Years", /^\d{4}$/],
];
const US_PER_MS = 1_000;
const DATE = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });
const PRICES = ["best_bid", "best_ask", "last_price", "settlement_price"];

/** The name of an instrument's curve among the feed's channels. */
export function curveChannel(instrument) {
  return `curve.${instrument.sku}.${instrument.region}`;
}

export class Curve {
  #table = byId("curve");
  #note = byId("curve-note");
  #points = new Map();
  #isTold = false;

  /** Show another market's, once it is told. */
  open(instrument) {
    this.#points.clear();
    this.#isTold = false;
    say(this.#note, `${instrument.sku} in ${instrument.region}, dollars per GPU-hour; delivery in UTC.`);
    this.#draw();
  }

  /** Take in an event of its channel. */
  apply(event) {
    if (event.type === "snapshot") {
      this.#points.clear();
      this.#isTold = true;
    }
    for (const point of event.data) {
      if (point.session === "expired") this.#points.delete(point.symbol);
      else this.#points.set(point.symbol, point);
    }
    this.#draw();
  }

  #draw() {
    for (const body of [...this.#table.tBodies]) body.remove();
    const points = [...this.#points.values()].sort((one, other) => one.delivery_start_us - other.delivery_start_us);
    for (const [name, form] of KINDS) {
      const own = points.filter((point) => form.test(point.period));
      if (own.length) this.#table.append(group(name, own));
    }
    this.#table.hidden = points.length === 0;
    const none = this.#isTold ? "No forwards are listed here yet." : "Loading the forwards.";
    notice(byId("curve-empty"), points.length ? "" : none);
  }
}

function group(name, points) {
  const heading = make("tr", { class: "period-kind" }, make("th", { scope: "rowgroup", colspan: String(PRICES.length + 2) }, name));
  return make("tbody", {}, heading, ...points.map(row));
}

function row(point) {
  const cells = PRICES.map((price) => make("td", { class: price.replace("_", "-") }, point[price] ?? "–"));
  const settled = cells[PRICES.length - 1];
  if (point.settlement_date) settled.title = `of ${point.settlement_date}`;
  const name = make("th", { scope: "row" }, point.period);
  if (point.session !== "continuous") name.append(" ", make("span", { class: "mark" }, point.session.replace("_", "-")));
  const isQuiet = PRICES.every((price) => point[price] === null);
  return make("tr", { title: `Delivery: ${delivery(point)}`, "data-period": point.period, class: isQuiet ? "quiet-period" : "" }, name, make("td", { class: "delivery" }, delivery(point)), ...cells);
}

/** From its first day to its last: the end of a period is the first hour after it. */
function delivery(point) {
  const first = DATE.format(point.delivery_start_us / US_PER_MS);
  const last = DATE.format(point.delivery_end_us / US_PER_MS - 1);
  return first === last ? first : `${first} – ${last}`;
}
