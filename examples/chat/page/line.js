// A WebSocket that comes back. Calls have results, the pause between tries grows, and the state can be seen.

const ANSWER_SECONDS = 10;
const PAUSE_SECONDS = 0.5;
const PAUSE_SECONDS_MAX = 15;
const STEADY_SECONDS = 5; // A line that held so long has the next pause begin small again.

/** What a call ended with: what the server has told, or that nobody knows. */
export class CallError extends Error {
  /** @param {boolean} lost Whether the line broke before the answer: it may have been done, or not. */
  constructor(message, { type = null, lost = false } = {}) {
    super(message);
    this.type = type;
    this.lost = lost;
  }
}

/**
 * Tells, by events: "state" (detail: {state, pause}), where state is one of connecting, open, waiting (for `pause`
 * seconds), refused, closed; "told" (detail: {event, data}), what the server says unasked.
 */
export class Line extends EventTarget {
  #url;
  #socket = null;
  #calls = new Map();
  #count = 0;
  #tries = 0;
  #timer = 0;
  #openedAt = 0;

  constructor(url) {
    super();
    this.#url = url;
    window.addEventListener("online", () => this.#timer && this.open());
  }

  /** Connect, now; where a pause runs it is over. */
  open() {
    this.#drop();
    this.#say("connecting");
    const socket = new WebSocket(this.#url.replace(/^http/, "ws"));
    this.#socket = socket;
    let welcome = false;
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      if (message.type === "result") {
        this.#settle(message);
      } else if (message.event === "connected" && !welcome) {
        welcome = true;
        clearTimeout(this.#timer);
        this.#timer = 0;
        this.#openedAt = performance.now();
        this.#say("open");
      } else {
        this.dispatchEvent(new CustomEvent("told", { detail: message }));
      }
    };
    socket.onclose = () => this.#lost(socket, welcome);
    this.#timer = setTimeout(() => this.#lost(socket, welcome), ANSWER_SECONDS * 1000);
  }

  /** End it for good, until `open`. */
  close() {
    this.#drop();
    this.#say("closed");
  }

  /** Give this connection up for another, after a pause. */
  renew() {
    if (this.#socket !== null) this.#lost(this.#socket, true);
  }

  /** Ask for a method. Rejects with a CallError. */
  call(method, data) {
    const socket = this.#socket;
    if (socket?.readyState !== WebSocket.OPEN) {
      return Promise.reject(new CallError("not connected", { lost: true }));
    }
    const id = ++this.#count;
    return new Promise((resolve, reject) => {
      // A network that vanished tells nobody: without an answer the line is taken for broken.
      const timer = setTimeout(() => this.#lost(socket, true), ANSWER_SECONDS * 1000);
      this.#calls.set(id, { resolve, reject, timer });
      socket.send(JSON.stringify({ method, data, correlation_id: id }));
    });
  }

  #settle({ correlation_id: id, success, data, error }) {
    const call = this.#calls.get(id);
    if (call === undefined) return;
    this.#calls.delete(id);
    clearTimeout(call.timer);
    if (success) call.resolve(data);
    else call.reject(new CallError(error.data?.[0]?.message ?? error.value, { type: error.type }));
  }

  async #lost(socket, wasOpen) {
    if (socket !== this.#socket) return;
    this.#drop();
    if (wasOpen && performance.now() - this.#openedAt > STEADY_SECONDS * 1000) this.#tries = 0;
    const pause = Math.min(PAUSE_SECONDS_MAX, PAUSE_SECONDS * 2 ** this.#tries) * (0.5 + Math.random() / 2);
    this.#tries += 1;
    this.#timer = setTimeout(() => this.open(), pause * 1000);
    this.#say("waiting", pause);
    if (!wasOpen) await this.#askWhy(this.#timer);
  }

  // Why a handshake failed no browser tells its page. A plain request to the same address is asked the same questions.
  async #askWhy(timer) {
    try {
      const { status } = await fetch(this.#url, { cache: "no-store" });
      if ((status === 401 || status === 403) && timer === this.#timer) {
        this.#drop();
        this.#say("refused");
      }
    } catch {
      // It is away. The next try is on its way.
    }
  }

  #drop() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    const socket = this.#socket;
    this.#socket = null;
    if (socket !== null) {
      socket.onmessage = socket.onclose = null;
      socket.close();
    }
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    for (const { reject, timer } of calls) {
      clearTimeout(timer);
      reject(new CallError("the connection was lost", { lost: true }));
    }
  }

  #say(state, pause = 0) {
    this.dispatchEvent(new CustomEvent("state", { detail: { state, pause } }));
  }
}
