// The list of markets: a row for each SKU and region, and in it a button for each kind with the best prices.
//
// It shows what it is given and says which market was chosen; where the prices come from is no matter of its own.

import { byId, count, kindName, make, notice, say, sessionNote } from "./text.js";

/** What can be rented at once; the hundreds of forwards beside them are read as curves (`curve.js`). */
export const KINDS = ["spot", "ondemand"];

export class Markets {
  #table = byId("markets");
  #cells = new Map();
  #onChoose;
  #chosen = "";

  /** `onChoose(symbol)`: a market's button was pressed. */
  constructor(onChoose) {
    this.#onChoose = onChoose;
  }

  /** Show these instruments, grouped as they come. */
  list(instruments) {
    const bySku = new Map();
    for (const one of instruments) {
      if (!bySku.has(one.sku)) bySku.set(one.sku, new Map());
      const regions = bySku.get(one.sku);
      if (!regions.has(one.region)) regions.set(one.region, new Map());
      regions.get(one.region).set(one.kind, one);
    }
    for (const body of [...this.#table.tBodies]) body.remove();
    this.#cells.clear();
    for (const [sku, regions] of bySku) this.#table.append(this.#group(sku, regions));
    this.choose(this.#chosen);
  }

  /** Show the best prices of a market; `top` null: they aren't known. */
  show(symbol, top) {
    const cell = this.#cells.get(symbol);
    if (!cell) return;
    const { instrument, button, mark, bid, ask, gpus } = cell;
    const isSimulated = instrument.simulated || Boolean(top?.simulated);
    if (isSimulated) mark.hidden = false;
    say(bid, top?.bid ?? "–");
    say(ask, top?.ask ?? "–");
    say(gpus, top ? count(top.offered) : "…");
    button.classList.toggle("quiet-market", !top || (top.bid === null && top.ask === null));
    const prices = top
      ? `bid ${top.bid ?? "none"}, ask ${top.ask ?? "none"}, ${count(top.offered)} GPUs on offer`
      : "choose it to see its prices";
    const name = `${instrument.sku} ${instrument.region} ${kindName(instrument.kind)}`;
    const label = `${name}: ${prices}${isSimulated ? ", simulated" : ""}`;
    if (button.getAttribute("aria-label") !== label) button.setAttribute("aria-label", label);
  }

  /** Say of a market whether it trades; `row`: of a channel `instruments.KIND`. */
  showSession(row) {
    const cell = this.#cells.get(row.symbol);
    if (cell) notice(cell.session, sessionNote(row));
  }

  /** Mark the chosen market. */
  choose(symbol) {
    this.#chosen = symbol;
    for (const [name, { button }] of this.#cells) button.setAttribute("aria-pressed", String(name === symbol));
  }

  #group(sku, regions) {
    const head = make("tr", { class: "sku" }, make("th", { colspan: "3", scope: "rowgroup" }, sku));
    const rows = [...regions].map(([region, kinds]) => {
      const mark = make("span", { class: "mark", title: "Barons without real GPUs sell here", hidden: "" }, "simulated");
      const row = make("tr", {}, make("th", { scope: "row" }, region, mark));
      for (const kind of KINDS) row.append(this.#cell(kinds.get(kind), mark));
      return row;
    });
    return make("tbody", {}, head, ...rows);
  }

  #cell(instrument, mark) {
    if (!instrument) return make("td");
    const [bid, ask, gpus] = ["bid", "ask", "gpus"].map((name) => make("span", { class: name }));
    const button = make("button", { type: "button", class: "quote", "data-symbol": instrument.symbol }, bid, ask, gpus);
    button.addEventListener("click", () => this.#onChoose(instrument.symbol));
    const session = make("span", { class: "mark session", hidden: "" });
    this.#cells.set(instrument.symbol, { instrument, button, mark, session, bid, ask, gpus });
    this.show(instrument.symbol, null);
    return make("td", {}, button, session);
  }
}
