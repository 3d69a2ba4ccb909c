// Renting: a form, the quote that it gives, and the rental at no more than what was quoted.
//
// The key stays with the account; this room is handed a `call` that has it.

import { newOnce } from "./api.js";
import { byId, count, make, money, notice, say } from "./text.js";

const ANY_REGION = "";

export class Rent {
  #call;
  #onRented;
  #instruments = [];
  #quoted = null;
  #form = byId("rent-form");
  #sku = byId("rent-sku");
  #region = byId("rent-region");
  #kind = byId("rent-kind");

  /** `call` as in api.js, with the key; `onRented(rental)` after a rental was taken. */
  constructor(call, onRented) {
    this.#call = call;
    this.#onRented = onRented;
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#quote();
    });
    this.#form.addEventListener("input", () => this.withdraw());
    this.#sku.addEventListener("change", () => this.#fillRegions());
    this.#kind.addEventListener("change", () => this.#nameHours());
    byId("rent").addEventListener("click", () => this.#rent());
  }

  /** What can be rented. */
  list(instruments) {
    this.#instruments = instruments;
    options(this.#sku, [...new Set(instruments.map((one) => one.sku))]);
    this.#fillRegions();
  }

  /** Set the form to a market that was chosen elsewhere, unless a quote is being looked at. */
  follow(instrument) {
    if (this.#quoted) return;
    this.#sku.value = instrument.sku;
    this.#fillRegions();
    this.#region.value = instrument.region;
    this.#kind.value = instrument.kind;
    this.#nameHours();
  }

  /** Take back a quote: the form has changed, or the key has gone. */
  withdraw() {
    this.#quoted = null;
    byId("quote").hidden = true;
    notice(byId("rent-notice"), "");
  }

  async #quote() {
    this.withdraw();
    const wish = this.#wish();
    await busy(byId("rent-quote"), async () => {
      const { quotes } = await this.#call("POST", "/v1/quotes", { body: wish });
      const best = quotes[0];
      if (!best || best.reason) {
        const reasons = quotes.map((quote) => `${quote.region}: ${count(quote.available_gpus)} of ${count(quote.gpus)} GPUs. ${quote.detail} (${quote.reason})`);
        notice(byId("rent-notice"), reasons.join(" ") || "There is no such market.");
        return;
      }
      const limit = wish.max_price ?? best.worst_price;
      this.#quoted = { body: { ...wish, max_price: limit }, once: newOnce() };
      say(byId("quote-text"), sentence(best, limit));
      byId("quote-simulated").hidden = !best.simulated;
      byId("quote").hidden = false;
      byId("rent").focus();
    });
  }

  async #rent() {
    const quoted = this.#quoted;
    if (!quoted) return;
    notice(byId("rent-notice"), "");
    await busy(byId("rent"), async () => {
      try {
        const rental = await this.#call("POST", "/v1/rentals", quoted);
        this.withdraw();
        this.#onRented(rental);
      } catch (problem) {
        // While the outcome isn't known, only the same request with the same key can't rent twice: the quote is kept for it.
        const isOpen = problem.outcome === "unknown" || problem.code === "idempotency_in_flight";
        if (isOpen) problem.message += " Press Rent again: the same request is repeated, and can’t rent twice.";
        else this.withdraw();
        throw problem;
      }
    });
  }

  #wish() {
    const wish = {
      sku: this.#sku.value,
      kind: this.#kind.value,
      gpus: byId("rent-gpus").valueAsNumber,
      hours: byId("rent-hours").valueAsNumber,
    };
    if (this.#region.value !== ANY_REGION) wish.regions = [this.#region.value];
    const limit = byId("rent-max").value.trim();
    if (limit) wish.max_price = limit;
    return wish;
  }

  #fillRegions() {
    const regions = this.#instruments.filter((one) => one.sku === this.#sku.value).map((one) => one.region);
    options(this.#region, [ANY_REGION, ...new Set(regions)]);
  }

  #nameHours() {
    say(byId("rent-hours-label"), this.#kind.value === "ondemand" ? "Hours, guaranteed" : "Hours, at most");
  }
}

/** Run an action with its button out of use; a Problem of it is shown beside the form. */
async function busy(button, act) {
  button.disabled = true;
  try {
    await act();
  } catch (problem) {
    notice(byId("rent-notice"), problem.text ?? String(problem));
  } finally {
    button.disabled = false;
  }
}

function sentence(quote, limit) {
  return (
    `${count(quote.gpus)} GPU${quote.gpus === 1 ? "" : "s"} in ${quote.region} at $${quote.best_price}` +
    (quote.worst_price === quote.best_price ? "" : ` to $${quote.worst_price}`) +
    ` an hour each: ${money(quote.cost_per_hour)} an hour and ${money(quote.fee_per_hour)} fee. ` +
    `${money(quote.hold)} is held. You pay no more than $${limit} a GPU-hour.`
  );
}

function options(select, values) {
  const before = select.value;
  select.replaceChildren(...values.map((value) => make("option", { value }, value || "any")));
  if (values.includes(before)) select.value = before;
}
