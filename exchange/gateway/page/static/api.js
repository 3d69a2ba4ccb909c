// REST as the page uses it: one call, and one error for whatever can go wrong with it.
//
// The key is an argument and leaves this room in the Authorization header alone: never in an address, in storage or in a log.

const TIMEOUT_MS = 15_000;

/** A request that failed: `code` of the exchange's table, or `unreachable`. `outcome` "unknown": it may have been done. */
export class Problem extends Error {
  constructor(code, detail, outcome) {
    super(detail);
    this.code = code;
    this.outcome = outcome;
  }

  /** What a person is shown: what was wrong and what to do, then the code to look for. */
  get text() {
    return `${this.message} (${this.code})`;
  }
}

/** Answer of a request, or a Problem. `key`: bearer key. `once`: Idempotency-Key of a POST. */
export async function call(method, path, { key = "", body = null, once = "" } = {}) {
  const headers = { Accept: "application/json" };
  if (key) headers.Authorization = `Bearer ${key}`;
  if (once) headers["Idempotency-Key"] = once;
  if (body !== null) headers["Content-Type"] = "application/json";
  const unanswered = method === "GET" ? "rejected" : "unknown";
  let response;
  let answer;
  try {
    response = await fetch(path, {
      method,
      headers,
      body: body === null ? null : JSON.stringify(body),
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    answer = await response.json();
  } catch (error) {
    const why = error.name === "TimeoutError" ? "The exchange didn't answer in time" : "The exchange can't be reached";
    throw new Problem("unreachable", `${why}. Try again in a moment.`, unanswered);
  }
  if (!response.ok) {
    throw new Problem(answer.code ?? "unknown_error", answer.detail ?? response.statusText, answer.outcome ?? unanswered);
  }
  return answer;
}

/** A new Idempotency-Key. */
export function newOnce() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
