// How values are shown, and how they get into the document: as text, never as markup.
//
// Prices and money stay the decimal strings that the API gave; nothing here turns them into floating-point numbers.
// It knows no element by its id.

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const DAY = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });
const COUNT = new Intl.NumberFormat("en-US");
const DAY_MS = 86_400_000;

/** The element of an id that the document has. */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found;
}

/** A new element with attributes and children; a child that is a string becomes text. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Set an element's text where it differs, so that what stands isn't disturbed. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Show a notice with this text, or hide it when there is none. */
export function notice(element, text) {
  say(element, text);
  element.hidden = text === "";
}

export function count(number) {
  return COUNT.format(number);
}

/** Money as the API gave it, with thousands apart and no more zeros than cents need. */
export function money(decimal) {
  const [whole, fraction = ""] = decimal.split(".");
  const cents = fraction.replace(/0+$/, "").padEnd(2, "0");
  return `$${whole.replace(/\B(?=(\d{3})+$)/g, ",")}.${cents}`;
}

/** A price's place in the order of prices: its ticks, an integer. */
export function ticks(price) {
  const [whole, fraction = ""] = price.split(".");
  return Number(whole + fraction.padEnd(4, "0"));
}

/** A number of ticks as a price. */
export function price(number) {
  const digits = String(number).padStart(5, "0");
  return `${digits.slice(0, -4)}.${digits.slice(-4)}`;
}

/** Time of day, with the date before it when that was another day. */
export function clock(moment) {
  const then = new Date(moment);
  const isRecent = Math.abs(Date.now() - then.getTime()) < DAY_MS;
  return isRecent ? CLOCK.format(then) : `${DAY.format(then)} ${CLOCK.format(then)}`;
}

/** What a market's session means for who looks at it; empty where orders trade as they come. `row`: of `instruments`. */
export function sessionNote(row) {
  if (row.session === "continuous") return "";
  const until = row.session_until_us === null ? "" : ` until ${clock(row.session_until_us / 1_000)}`;
  return `${row.session.replace("_", "-")}${until}`;
}

/** A kind of market as people say it. */
export function kindName(kind) {
  return kind === "ondemand" ? "on-demand" : kind;
}

/** A file's name as one word of a shell's line; a `~/` before it stays what the shell makes of it. */
export function shellWord(path) {
  const [, home = "", rest] = /^(~\/)?(.*)$/s.exec(path);
  return home + (/^[\w.,:@%+=/-]+$/.test(rest) ? rest : `'${rest.replaceAll("'", "'\\''")}'`);
}
