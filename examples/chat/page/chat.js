// The page: a form to enter, a room. Whatever others wrote is put in as text, never as HTML.

import { Line } from "./line.js";

const WAITING_MAX = 20; // Messages that are kept while the line is away.
const SHOWN_MAX = 300;

const $ = (id) => document.getElementById(id);
const address = new URLSearchParams(location.hash.slice(1));
const token = address.get("token");

const url = new URL("ws", location.href);
if (token) url.searchParams.set("token", token);
const line = new Line(url.origin + url.pathname + url.search);

/** The room: {room, name, me, members}, the last two once it has answered. None: nobody is to be in one. */
let here = null;
/** The ids of this page's sockets, as messages bear the one by which they were sent. */
const mine = new Set();
/** What was written and is not known to be said, by key: {key, text, item, sending}. */
const outbox = new Map();
/** What is shown, by its id. */
const shown = new Map();

// --- the line ---

const STATES = {
  connecting: "Connecting …",
  open: `Connected to ${location.host}`,
  waiting: "Away. What you write is kept.",
  refused: "The token is not accepted.",
  closed: "Not connected",
};
let countdown = 0;

line.addEventListener("state", ({ detail: { state, pause } }) => {
  $("line").dataset.state = state;
  $("state").textContent = STATES[state];
  $("now").hidden = state !== "waiting" && state !== "refused";
  clearInterval(countdown);
  $("countdown").textContent = "";
  if (state === "waiting") {
    const until = performance.now() + pause * 1000;
    const tick = () => {
      $("countdown").textContent = `Next try in ${Math.max(0, Math.ceil((until - performance.now()) / 1000))} s`;
    };
    tick();
    countdown = setInterval(tick, 500);
  }
  if (state === "open") enter();
  if (state === "refused" && here?.me === undefined) outside("The token in this address is not accepted.");
});
$("now").addEventListener("click", () => line.open());

line.addEventListener("told", ({ detail: { event, data } }) => {
  if (here === null || data?.room !== here.room) return;
  if (event === "said") show(data);
  else if (event === "joined") come(data.member);
  else if (event === "left") go(data.id);
  else if (event === "changed") look();
});

// --- in and out ---

async function enter() {
  const { room, name } = here;
  let told;
  try {
    told = await line.call("chat.join", token ? { room } : { room, name });
  } catch (error) {
    // A lost line comes back, and with it this. Who was in already keeps what is written, and tries again.
    if (!error.lost && here?.me === undefined) outside(error.message);
    else if (!error.lost) line.renew();
    return;
  }
  if (here?.room !== room) return;
  const first = here.me === undefined;
  here.me = told.me;
  mine.add(told.me.id);
  count(told.members);
  told.messages.forEach(show);
  if (first) {
    $("title").textContent = room;
    document.title = `${room} – Chat`;
    $("entrance").hidden = true;
    $("inside").hidden = $("leave").hidden = false;
    $("text").focus();
  }
  // What history knows is said; the rest goes in the order in which it was written.
  for (const letter of outbox.values()) if (!letter.sending) deliver(letter);
}

function outside(problem = "") {
  line.close();
  here = null;
  delete $("leave").dataset.sure;
  $("refusal").textContent = "";
  $("messages").replaceChildren();
  shown.clear();
  outbox.clear();
  count([]);
  $("title").textContent = document.title = "Chat";
  $("inside").hidden = $("leave").hidden = true;
  $("entrance").hidden = false;
  $("problem").textContent = problem;
  $(token ? "room" : "name").focus();
}

$("entrance").addEventListener("submit", (event) => {
  event.preventDefault();
  here = { room: $("room").value, name: $("name").value };
  $("problem").textContent = "";
  address.set("room", here.room);
  history.replaceState(null, "", `#${address}`);
  line.open();
});
$("leave").addEventListener("click", () => {
  if (outbox.size > 0 && !$("leave").dataset.sure) {
    $("leave").dataset.sure = "yes";
    $("refusal").textContent = `Not sent yet: ${outbox.size}. To drop that, leave once more.`;
    return;
  }
  // The answer is not waited for: closing the line would do the same.
  line.call("chat.leave", { room: here.room }).catch(() => {});
  outside();
});

// --- members ---

function count(members) {
  if (here !== null) here.members = new Map(members.map((one) => [one.id, one]));
  $("members").replaceChildren(...members.map(memberItem));
  $("count").textContent = members.length;
}

function memberItem(member) {
  const item = document.createElement("li");
  item.append(nameOf(member));
  if (member.id === here.me.id) item.append(" (you)");
  return item;
}

function come(member) {
  if (here.members === undefined || here.members.has(member.id)) return;
  count([...here.members.values(), member].sort((a, b) => a.name.localeCompare(b.name)));
  remark(member, "came");
}

function go(id) {
  const member = here.members?.get(id);
  if (member === undefined) return;
  count([...here.members.values()].filter((one) => one.id !== id));
  remark(member, "left");
}

/** A node came or went: others than before are here, and of what was said meanwhile some may be new to us. */
function look() {
  again = looking;
  if (looking) return;
  looking = true;
  enter().finally(() => {
    looking = false;
    if (again && here !== null) look();
  });
}
let looking = false;
let again = false;

// --- messages ---

$("say").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (text === "") return;
  if (outbox.size >= WAITING_MAX) {
    $("refusal").textContent = `${WAITING_MAX} messages wait already: this one was not taken.`;
    return;
  }
  delete $("leave").dataset.sure;
  $("refusal").textContent = "";
  $("text").value = "";
  const item = messageItem({ from: here.me, text, at: Date.now() / 1000 });
  const letter = { key: newKey(), text, item, sending: false };
  outbox.set(letter.key, letter);
  letter.item.dataset.at = Infinity;
  place(letter.item);
  toEnd();
  deliver(letter);
});
$("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    $("say").requestSubmit();
  }
});

async function deliver(letter) {
  const { key, text } = letter;
  letter.sending = true;
  fate(letter, "waiting", "Waiting to be sent …");
  try {
    const { at } = await line.call("chat.say", { room: here.room, text, key });
    if (outbox.has(key)) show({ id: key, from: here.me, text, at });
  } catch (error) {
    // Lost: it stays, and goes again when the line is back. The server knows it by its key.
    if (!error.lost && outbox.delete(key)) fate(letter, "refused", `Not sent: ${error.message}`);
  } finally {
    letter.sending = false;
  }
}

window.addEventListener("beforeunload", (event) => {
  if (outbox.size > 0) event.preventDefault();
});

/** Write under a message what has become of it. */
function fate(letter, state, text) {
  letter.item.dataset.state = state;
  letter.item.querySelector(".fate")?.remove();
  const told = document.createElement("p");
  told.className = "fate";
  told.textContent = text;
  if (state === "refused") {
    const again = document.createElement("button");
    again.type = "button";
    again.textContent = "Try again";
    again.addEventListener("click", () => {
      outbox.set(letter.key, letter);
      deliver(letter);
    });
    told.append(" ", again);
  }
  letter.item.append(told);
}

function show(message) {
  const letter = outbox.get(message.id);
  if (shown.has(message.id)) return;
  outbox.delete(message.id);
  const item = messageItem(message);
  item.dataset.at = message.at;
  shown.set(message.id, item);
  // In the place of what was written here, or by its time.
  if (letter !== undefined) letter.item.remove();
  place(item);
}

function remark(member, verb) {
  const item = document.createElement("li");
  item.className = "remark";
  item.append(nameOf(member), ` ${verb}`);
  const last = [...$("messages").children].findLast((one) => Number(one.dataset.at) < Infinity);
  item.dataset.at = last?.dataset.at ?? 0;
  place(item);
}

function messageItem({ from, text, at }) {
  const item = document.createElement("li");
  item.className = mine.has(from.id) ? "mine" : "theirs";
  const head = document.createElement("p");
  head.className = "head";
  const time = document.createElement("time");
  const when = new Date(at * 1000);
  time.dateTime = when.toISOString();
  time.textContent = when.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  head.append(nameOf(from), " ", time);
  const body = document.createElement("p");
  body.className = "text";
  body.dir = "auto";
  body.textContent = text;
  item.append(head, body);
  return item;
}

function nameOf(member) {
  const name = document.createElement("bdi");
  name.className = "name";
  name.textContent = member.name;
  if (member.known) {
    name.classList.add("known");
    name.title = "Known by a token";
  }
  return name;
}

/** Put it where its time is; what waits to be sent comes last. The oldest give way. */
function place(item) {
  const list = $("messages");
  let before = list.lastElementChild;
  while (before !== null && Number(before.dataset.at) > Number(item.dataset.at)) before = before.previousElementSibling;
  if (before === null) list.prepend(item);
  else before.after(item);
  while (list.children.length > SHOWN_MAX) list.firstElementChild.remove();
  for (const [id, one] of shown) if (!one.isConnected) shown.delete(id);
  if (atEnd) toEnd();
}

// Who reads the end goes on reading it, also when the window shrinks; who reads further up is left there.
let atEnd = true;
$("log").addEventListener("scroll", () => {
  const log = $("log");
  atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
});
new ResizeObserver(() => atEnd && toEnd()).observe($("log"));

function toEnd() {
  atEnd = true;
  $("log").scrollTop = $("log").scrollHeight;
}

// `crypto.randomUUID` is there for https and this machine only.
function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((one) => one.toString(16).padStart(2, "0")).join("");
}

// --- begin ---

$("room").value = address.get("room") ?? "lobby";
if (token) {
  $("name").hidden = $("name-label").hidden = true;
  $("name").required = false;
}
// Not by `autofocus`, which comes at a moment of its own, and complains where it finds the focus taken.
$(token ? "room" : "name").focus();
if (window.matchMedia("(max-width: 40rem)").matches) $("who").open = false;
