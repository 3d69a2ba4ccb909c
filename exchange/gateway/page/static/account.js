// What a key opens: who it is, balances and leases, kept fresh while the market moves.
//
// The key lives in one private field of one object: no address, storage, log or other room ever sees it.

import { call } from "./api.js";
import { Leases } from "./leases.js";
import { Rent } from "./rent.js";
import { byId, make, money, notice, say } from "./text.js";

const REFRESH_MS = 1_000;
/** Without news of the market, ask again after this long. */
const QUIET_MS = 10_000;
/** Open leases shown at most, and the newest of all beside them. */
const OPEN_LEASES = 200;
const RECENT_LEASES = 6;
/** What a header can carry; whether it is a key is the exchange's to say. */
const KEY_CHARACTERS = /^[\w-]+$/;
const POTS = ["available", "held", "escrow", "receivable", "bond"];

export class Account {
  #key = "";
  #seq = 0;
  #shownSeq = -1;
  #shownMs = 0;
  #refreshing = false;
  #leases = new Leases((id) => this.#end(id));
  #field = byId("key");

  constructor() {
    this.rent = new Rent((method, path, options) => this.#call(method, path, options), (rental) => this.#moved(rental.seq));
    byId("key-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#use(this.#field.value.trim());
    });
    byId("forget").addEventListener("click", () => {
      this.#forget("");
      this.#field.focus();
    });
    setInterval(() => this.#refreshIfMoved(), REFRESH_MS);
  }

  /** The market has come to this seq; 0 when it isn't known any more. */
  reached(seq) {
    this.#seq = seq;
  }

  #call(method, path, options = {}) {
    return call(method, path, { ...options, key: this.#key });
  }

  async #use(key) {
    notice(byId("account-notice"), "");
    if (!KEY_CHARACTERS.test(key)) {
      notice(byId("account-notice"), "That isn’t a key: one begins with hb_ and has letters, digits, - and _ alone.");
      return;
    }
    try {
      const account = await call("GET", "/v1/account", { key });
      this.#key = key;
      this.#field.value = "";
      this.#shownSeq = -1;
      say(byId("who"), `${account.name}: ${account.scopes.join(", ")}`);
      byId("key-form").hidden = true;
      byId("signed-in").hidden = false;
      byId("account-title").focus();
      await this.#refresh();
    } catch (problem) {
      notice(byId("account-notice"), problem.text ?? String(problem));
    }
  }

  #forget(why) {
    this.#key = "";
    this.#field.value = "";
    this.rent.withdraw();
    this.#leases.show([], false);
    byId("balances").replaceChildren();
    say(byId("who"), "");
    byId("key-form").hidden = false;
    byId("signed-in").hidden = true;
    notice(byId("account-notice"), why);
  }

  async #end(id) {
    const lease = await this.#call("DELETE", `/v1/leases/${encodeURIComponent(id)}`);
    await this.#moved(lease.seq);
  }

  async #moved(seq) {
    this.#seq = Math.max(this.#seq, seq);
    await this.#refresh();
  }

  #refreshIfMoved() {
    const isOld = performance.now() - this.#shownMs > QUIET_MS;
    if (this.#key && !document.hidden && (this.#seq !== this.#shownSeq || isOld)) this.#refresh();
  }

  async #refresh() {
    if (this.#refreshing) return;
    this.#refreshing = true;
    const [key, seq] = [this.#key, this.#seq];
    try {
      const [balances, open, recent] = await Promise.all([
        this.#call("GET", `/v1/balances?min_seq=${seq}`),
        this.#call("GET", `/v1/leases?open=true&limit=${OPEN_LEASES}&min_seq=${seq}`),
        this.#call("GET", `/v1/leases?limit=${RECENT_LEASES}&min_seq=${seq}`),
      ]);
      // The key may have been forgotten while its answers were on their way.
      if (key !== this.#key) return;
      showBalances(balances);
      const leases = new Map([...recent.leases, ...open.leases].map((lease) => [lease.id, lease]));
      this.#leases.show([...leases.values()].sort((one, other) => (one.id < other.id ? 1 : -1)), open.next_cursor !== null);
      notice(byId("account-notice"), "");
    } catch (problem) {
      if (key !== this.#key) return;
      if (problem.code === "unauthorized") this.#forget(problem.text);
      else notice(byId("account-notice"), problem.text ?? String(problem));
    } finally {
      // After a failure too: the next attempt comes with the market's next move, or after a while.
      if (key === this.#key) this.#shownSeq = seq;
      this.#shownMs = performance.now();
      this.#refreshing = false;
    }
  }
}

function showBalances(balances) {
  const shown = POTS.filter((pot, index) => index < 2 || /[1-9]/.test(balances[pot]));
  byId("balances").replaceChildren(
    ...shown.map((pot) => make("div", {}, make("dt", {}, pot), make("dd", { "data-pot": pot }, money(balances[pot])))),
  );
}
