// The market's WebSocket: subscriptions, the chain of each channel's messages, and coming back after it was lost.
//
// Each message of a channel names the seq of the one before. Where that doesn't fit, or where the heartbeat tells of more
// than was seen, the channel is subscribed to again: that gives a snapshot anew, and `onBegin` for trades, whose
// listener then asks REST. It keeps no market data itself.

const PATH = "/ws/v1/market";
const SUBPROTOCOL = "hourbook.v1.json";
/** The heartbeat comes each second; after this long without any message the connection counts as lost. */
const SILENCE_MS = 6_000;
const WATCH_MS = 1_000;
const FIRST_DELAY_MS = 500;
const MAX_DELAY_MS = 20_000;
/** After this many attempts in a row the page stops trying by itself. */
const MAX_ATTEMPTS = 30;

export class Feed {
  #listener;
  #wanted = new Set();
  #channels = new Map();
  #asked = new Map();
  #socket = null;
  #lastId = 0;
  #attempts = 0;
  #retry = 0;
  #heardMs = 0;

  /** `listener`: onState(state, detail), onSeq(seq), onBegin(channel, seq), onEvent(event), onRefused(channel, error). */
  constructor(listener) {
    this.#listener = listener;
    setInterval(() => this.#watch(), WATCH_MS);
    window.addEventListener("online", () => this.connectNow());
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden && !this.#socket) this.connectNow();
    });
  }

  /** Be subscribed to these channels and no others. */
  want(names) {
    const wanted = new Set(names);
    for (const name of this.#wanted) if (!wanted.has(name)) this.#unsubscribe(name);
    const added = [...wanted].filter((name) => !this.#wanted.has(name));
    this.#wanted = wanted;
    for (const name of added) this.#subscribe(name);
  }

  /** Connect at once, however long the next attempt is away. */
  connectNow() {
    this.#attempts = 0;
    if (!this.#socket) this.#connect();
  }

  #connect() {
    clearTimeout(this.#retry);
    this.#listener.onState("connecting", "connecting");
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}${PATH}`, SUBPROTOCOL);
    this.#socket = socket;
    this.#heardMs = performance.now();
    socket.addEventListener("open", () => {
      if (socket === this.#socket) this.#opened();
    });
    socket.addEventListener("message", (message) => {
      if (socket === this.#socket) this.#heard(JSON.parse(message.data));
    });
    socket.addEventListener("close", () => {
      if (socket === this.#socket) this.#lost();
    });
  }

  #opened() {
    this.#channels.clear();
    this.#asked.clear();
    this.#listener.onState("live", "live");
    for (const name of this.#wanted) this.#subscribe(name);
  }

  #heard(message) {
    this.#heardMs = performance.now();
    this.#attempts = 0;
    if (!message.ch) this.#answered(message);
    else if (message.ch === "heartbeat") this.#heartbeat(message);
    else this.#event(message);
  }

  #answered(reply) {
    const name = this.#asked.get(reply.id);
    this.#asked.delete(reply.id);
    if (name === undefined || !this.#channels.has(name)) return;
    if (reply.error) {
      this.#channels.delete(name);
      this.#listener.onRefused(name, reply.error);
    } else if (name.startsWith("trades.")) {
      this.#channels.set(name, reply.seq);
      this.#listener.onBegin(name, reply.seq);
    }
  }

  #event(event) {
    const seen = this.#channels.get(event.ch);
    if (seen === undefined) return;
    if (event.type === "update") {
      // Until its snapshot is there, a channel that was asked for has nothing to be changed.
      if (seen === null) return;
      if (event.prev_seq !== seen) {
        this.#subscribe(event.ch);
        return;
      }
    }
    this.#channels.set(event.ch, event.seq);
    this.#listener.onSeq(event.seq);
    this.#listener.onEvent(event);
  }

  #heartbeat(beat) {
    for (const [name, seq] of Object.entries(beat.data.channels)) {
      const seen = this.#channels.get(name);
      if (seen !== undefined && seen !== null && seen !== seq) this.#subscribe(name);
    }
    this.#listener.onSeq(beat.seq);
  }

  #subscribe(name) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    this.#channels.set(name, null);
    this.#asked.set(this.#send("subscribe", name), name);
  }

  #unsubscribe(name) {
    if (this.#channels.delete(name)) this.#send("unsubscribe", name);
  }

  #send(op, name) {
    const id = ++this.#lastId;
    this.#socket.send(JSON.stringify({ id, op, params: { ch: name } }));
    return id;
  }

  #watch() {
    if (this.#socket && performance.now() - this.#heardMs > SILENCE_MS) {
      const silent = this.#socket;
      this.#lost();
      silent.close();
    }
  }

  #lost() {
    this.#socket = null;
    this.#channels.clear();
    if (this.#attempts >= MAX_ATTEMPTS) {
      this.#listener.onState("lost", "connection lost");
      return;
    }
    const longest = Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** this.#attempts++);
    // A part by chance, so that all the pages don't come back in the same moment.
    this.#retry = setTimeout(() => this.#connect(), longest / 2 + (Math.random() * longest) / 2);
    this.#listener.onState("waiting", "reconnecting");
  }
}
