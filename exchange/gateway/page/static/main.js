// The page put together: instruments from REST, books and trades from the feed, and what is shown of them.
//
// Events change data at once and the document once a frame, however many came in between.

import { Account } from "./account.js";
import { call } from "./api.js";
import { Book } from "./book.js";
import { Curve, curveChannel } from "./curve.js";
import { Depth, Tape, TRADES, tradeOfRest, tradesOfEvent } from "./depth.js";
import { Feed } from "./feed.js";
import { KINDS, Markets } from "./markets.js";
import { byId, count, notice, say } from "./text.js";

/** The exchange allows 256 channels a connection; markets beyond this many are subscribed to when they are chosen. */
const MAX_BOOKS = 200;
/** Of each kind that the page shows, all of that kind. */
const CHANNELS = KINDS.map((kind) => `instruments.${kind}`);
const LIST_AGAIN_MS = 60_000;
const RETRY_MS = 2_000;

const books = new Map();
const refused = new Set();
/** What the channels `instruments.KIND` say of each symbol: its session, as it is now. */
const listed = new Map();
const dirty = new Set();
let instruments = [];
let chosen = "";
let tape = new Tape();
let isTapeDirty = false;
let seq = 0;
let isPainting = false;
let listAgain = 0;

const account = new Account();
const depth = new Depth();
const curve = new Curve();
/** The channel of the chosen market's curve. */
let curveName = "";
const markets = new Markets((symbol) => {
  choose(symbol);
  if (matchMedia("(max-width: 52rem)").matches) byId("book-title").scrollIntoView();
});
const feed = new Feed({ onState, onSeq, onBegin, onEvent, onRefused });

function onState(state, text) {
  const shown = byId("connection");
  shown.dataset.state = state;
  say(shown, text);
  document.body.classList.toggle("stale", state !== "live");
  byId("reconnect").hidden = state === "live" || state === "connecting";
  if (state !== "live") return;
  // After a return nothing older counts: what is shown is what comes from now on.
  seq = 0;
  refused.clear();
  list();
}

function onSeq(reached) {
  seq = Math.max(seq, reached);
  account.reached(seq);
  paintSoon();
}

function onBegin(channel, from) {
  loadTrades(channel.slice("trades.".length), from);
}

function onEvent(event) {
  if (CHANNELS.includes(event.ch)) {
    event.data.forEach(showListed);
    return;
  }
  if (event.ch === curveName) {
    curve.apply(event);
    return;
  }
  const dot = event.ch.indexOf(".");
  const symbol = event.ch.slice(dot + 1);
  if (event.ch.startsWith("book.")) {
    if (!books.has(symbol)) books.set(symbol, new Book());
    books.get(symbol).apply(event);
    dirty.add(symbol);
    if (!chosen && books.size + refused.size >= wantedBooks().length) chooseFirst();
  } else if (symbol === chosen) {
    tape.add(tradesOfEvent(event));
    isTapeDirty = true;
  }
  paintSoon();
}

function showListed(row) {
  listed.set(row.symbol, row);
  markets.showSession(row);
  if (row.symbol === chosen) depth.showSession(row);
}

function onRefused(channel, error) {
  refused.add(channel);
  notice(byId("market-notice"), `${channel}: ${error.detail} (${error.code})`);
}

async function list() {
  try {
    const answers = await Promise.all(KINDS.map((kind) => call("GET", `/v1/instruments?kind=${kind}`)));
    const found = inMarkets(answers.map((answer) => answer.instruments)).map(({ symbol, sku, region, kind, simulated }) => ({ symbol, sku, region, kind, simulated }));
    const isNew = JSON.stringify(found) !== JSON.stringify(instruments);
    instruments = found;
    if (isNew) {
      markets.list(instruments);
      listed.forEach(showListed);
      account.rent.list(instruments);
      for (const symbol of books.keys()) dirty.add(symbol);
    }
    notice(byId("market-notice"), "");
    subscribe();
    if (!chosen) chooseFromAddress();
    paintSoon();
  } catch (problem) {
    notice(byId("market-notice"), problem.text ?? String(problem));
    clearTimeout(listAgain);
    if (byId("connection").dataset.state === "live") listAgain = setTimeout(list, RETRY_MS);
  }
}

/** Each market's instruments side by side, markets in order of listing. */
function inMarkets(lists) {
  const found = new Map();
  for (const one of lists.flat()) {
    const market = `${one.sku}.${one.region}`;
    found.set(market, [...(found.get(market) ?? []), one]);
  }
  return [...found.values()].flat();
}

function wantedBooks() {
  return instruments.slice(0, MAX_BOOKS).map((one) => one.symbol);
}

function subscribe() {
  const symbols = new Set(wantedBooks());
  if (chosen) symbols.add(chosen);
  for (const symbol of books.keys()) {
    if (symbols.has(symbol)) continue;
    books.delete(symbol);
    markets.show(symbol, null);
  }
  feed.want([...CHANNELS, ...[...symbols].map((symbol) => `book.${symbol}`), ...(chosen ? [`trades.${chosen}`, curveName] : [])]);
}

function chooseFromAddress() {
  const named = location.hash.slice(1);
  if (instruments.some((one) => one.symbol === named)) choose(named);
}

/** Without a choice, show the market with the most GPUs on offer. */
function chooseFirst() {
  const offered = (symbol) => books.get(symbol)?.top.offered ?? 0;
  const [first] = wantedBooks().sort((one, other) => offered(other) - offered(one));
  if (first) choose(first);
}

function choose(symbol) {
  const instrument = instruments.find((one) => one.symbol === symbol);
  if (!instrument || symbol === chosen) return;
  const isFirst = chosen === "";
  chosen = symbol;
  tape = new Tape();
  isTapeDirty = false;
  if (!isFirst) history.replaceState(null, "", `#${symbol}`);
  markets.choose(symbol);
  depth.open(instrument);
  if (curveName !== curveChannel(instrument)) {
    curveName = curveChannel(instrument);
    curve.open(instrument);
  }
  if (listed.has(symbol)) depth.showSession(listed.get(symbol));
  account.rent.follow(instrument);
  dirty.add(symbol);
  subscribe();
  paintSoon();
}

async function loadTrades(symbol, from) {
  const wanted = tape;
  try {
    const answer = await call("GET", `/v1/trades/${encodeURIComponent(symbol)}?limit=${TRADES}&min_seq=${from}`);
    wanted.add(answer.trades.map(tradeOfRest));
    isTapeDirty = true;
    notice(byId("market-notice"), "");
    paintSoon();
  } catch (problem) {
    notice(byId("market-notice"), problem.text ?? String(problem));
    if (symbol === chosen && wanted === tape) setTimeout(() => loadTrades(symbol, from), RETRY_MS);
  }
}

function paintSoon() {
  if (isPainting) return;
  isPainting = true;
  requestAnimationFrame(paint);
}

function paint() {
  isPainting = false;
  for (const symbol of dirty) {
    const book = books.get(symbol);
    if (book) markets.show(symbol, book.top);
    if (symbol === chosen) depth.showBook(book ?? null);
  }
  dirty.clear();
  if (isTapeDirty) depth.showTrades(tape.trades);
  isTapeDirty = false;
  say(byId("seq"), seq ? count(seq) : "–");
}

byId("reconnect").addEventListener("click", () => feed.connectNow());
window.addEventListener("hashchange", chooseFromAddress);
setInterval(() => {
  if (byId("connection").dataset.state === "live") list();
}, LIST_AGAIN_MS);
feed.connectNow();
