// The account's leases: state, price, charge, the way in, and a button that ends them.
//
// An entry's elements stay while the lease is listed, so that focus and selection survive each refresh.

import { byId, clock, count, kindName, make, money, notice, say, shellWord } from "./text.js";

const CONFIRM_MS = 6_000;
const COPIED_MS = 2_000;
const LIVING = ["scheduled", "provisioning", "active", "ending"];

export class Leases {
  #list = byId("leases");
  #entries = new Map();
  #onEnd;
  #identity = byId("identity");

  /** `onEnd(id)` ends a lease; its Problem is shown at that lease. */
  constructor(onEnd) {
    this.#onEnd = onEnd;
    this.#identity.addEventListener("input", () => this.#entries.forEach((entry) => this.#sayCommand(entry)));
  }

  /** Show these leases, newest first; `more`: there are others that aren't shown. */
  show(leases, more) {
    const ids = new Set(leases.map((lease) => lease.id));
    for (const [id, entry] of this.#entries) {
      if (!ids.has(id)) {
        entry.item.remove();
        this.#entries.delete(id);
      }
    }
    leases.forEach((lease, index) => {
      const entry = this.#entries.get(lease.id) ?? this.#make(lease.id);
      if (this.#list.children[index] !== entry.item) this.#list.insertBefore(entry.item, this.#list.children[index] ?? null);
      update(entry, lease);
      this.#sayCommand(entry);
    });
    byId("identity-field").hidden = !leases.some((lease) => lease.ssh);
    const note = byId("leases-note");
    say(note, more ? "More leases are open than are shown here; see GET /v1/leases." : leases.length ? "" : "None yet.");
    note.hidden = note.textContent === "";
  }

  #make(id) {
    const entry = {
      title: make("strong"),
      state: make("span", { class: "state" }),
      simulated: make("span", { class: "mark", title: "This Baron has no real GPUs" }, "simulated"),
      facts: make("p", { class: "facts" }),
      detail: make("p", { class: "facts" }),
      command: make("code", { tabindex: "0", "aria-label": "ssh command" }),
      copy: make("button", { type: "button" }, "Copy"),
      end: make("button", { type: "button", class: "quiet", title: "End this lease" }, "End"),
      notice: make("p", { class: "notice", role: "alert", hidden: "" }),
      sshCommand: "",
      confirming: 0,
    };
    entry.ssh = make("div", { class: "ssh" }, entry.command, entry.copy);
    const head = make("div", { class: "head" }, entry.title, entry.state, entry.simulated, entry.end);
    entry.item = make("li", { "data-lease": id }, head, entry.facts, entry.detail, entry.ssh, entry.notice);
    entry.copy.addEventListener("click", () => copy(entry));
    entry.end.addEventListener("click", () => this.#end(id, entry));
    this.#entries.set(id, entry);
    return entry;
  }

  /** The way in, with the key's file where one is named: the exchange can't know where its owner keeps it. */
  #sayCommand(entry) {
    const file = this.#identity.value.trim();
    say(entry.command, file ? entry.sshCommand.replace(/^ssh /, () => `ssh -i ${shellWord(file)} `) : entry.sshCommand);
  }

  async #end(id, entry) {
    if (!entry.confirming) {
      say(entry.end, entry.end.dataset.confirm);
      entry.confirming = setTimeout(() => calm(entry), CONFIRM_MS);
      return;
    }
    calm(entry);
    entry.end.disabled = true;
    notice(entry.notice, "");
    try {
      await this.#onEnd(id);
    } catch (problem) {
      notice(entry.notice, problem.text ?? String(problem));
    } finally {
      entry.end.disabled = false;
    }
  }
}

function update(entry, lease) {
  entry.item.dataset.state = lease.state;
  say(entry.title, `${count(lease.gpus)} × ${lease.sku}`);
  say(entry.state, lease.reason ? `${lease.state}: ${lease.reason.replaceAll("_", " ")}` : lease.state);
  entry.simulated.hidden = !lease.simulated;
  // A forward's lease costs nothing by itself: its hours are paid for.
  const forward = lease.kind === "forward";
  const facts = forward ? [lease.region, kindName(lease.kind), "paid for"] : [lease.region, kindName(lease.kind), `$${lease.price}`, charge(lease)];
  if (lease.ended) facts.push(`ended ${clock(lease.ended)}`, lease.wiped ? "wiped" : "not wiped yet");
  else if (lease.state === "scheduled") facts.push(forward ? "waits for an SSH key" : "waits for the displaced lease to go");
  else facts.push(`since ${clock(lease.active ?? lease.started)}`);
  if (lease.ends && !lease.ended) facts.push(`ends ${clock(lease.ends)}`);
  else if (lease.term_end && !lease.ended) facts.push(`until ${clock(lease.term_end)}`);
  if (lease.auto_extend && !lease.ended) facts.push("extends itself");
  facts.push(lease.id);
  say(entry.facts, facts.join(" · "));
  say(entry.detail, lease.detail ?? "");
  entry.detail.hidden = !lease.detail;
  entry.ssh.hidden = !lease.ssh;
  entry.sshCommand = lease.ssh?.command ?? "";
  const noMinimum = forward || lease.state === "ending";
  entry.end.dataset.confirm = noMinimum ? "End now?" : "End now? The minimum is charged";
  entry.end.hidden = !LIVING.includes(lease.state);
}

/** What is posted, which moves at full hours, and what has been used since. */
function charge(lease) {
  const charged = `charged ${money(lease.charged)}`;
  return LIVING.includes(lease.state) && lease.active ? `${charged} and ${money(lease.accrued)} accrued` : charged;
}

function calm(entry) {
  clearTimeout(entry.confirming);
  entry.confirming = 0;
  say(entry.end, "End");
}

async function copy(entry) {
  try {
    await navigator.clipboard.writeText(entry.command.textContent);
    say(entry.copy, "Copied");
  } catch (refused) {
    // Over plain HTTP, or when the browser says no, there is no clipboard: select it, and the person copies.
    getSelection().selectAllChildren(entry.command);
    say(entry.copy, "Selected");
  }
  // Who copies twice sees both told.
  clearTimeout(entry.copying);
  entry.copying = setTimeout(() => say(entry.copy, "Copy"), COPIED_MS);
}
