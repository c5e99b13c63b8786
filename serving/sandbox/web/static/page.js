// What all pages share: elements without markup, requests of a session, numbers in words.

const KEY = "lorasmith-sandbox-session";
const WANTED = "lorasmith-sandbox-wanted";

// make("td", {class: "number"}, "3"): attributes as written, on: {event: listener}; children are nodes or text, null is left out.
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter(child => child !== null && child !== undefined));
  return element;
}

export function replace(element, ...children) {
  element.replaceChildren(...children.flat().filter(child => child !== null && child !== undefined));
}

// A request with the page's half of the session; the cookie is the other half.
export async function ask(path, { method = "GET", json, body, headers = {} } = {}) {
  const sent = { "x-sandbox-session": localStorage.getItem(KEY) ?? "", ...headers };
  if (json !== undefined) sent["content-type"] = "application/json";
  return fetch(path, { method, headers: sent, body: json === undefined ? body : JSON.stringify(json), cache: "no-store" });
}

// JSON of the sandbox's own pages; where the session is over, the page says so and how to get another.
export async function data(path) {
  const reply = await ask(path);
  if (reply.status === 401) lock();
  const found = await reply.json();
  if (!reply.ok) throw new Error(found.detail ?? `status ${reply.status}`);
  return found;
}

export async function enter(token) {
  const reply = await ask("/sandbox/session", { method: "POST", body: token });
  const found = await reply.json();
  if (!reply.ok) throw new Error(found.detail);
  localStorage.setItem(KEY, found.session);
  const wanted = localStorage.getItem(WANTED) ?? "/";
  localStorage.removeItem(WANTED);
  location.replace(wanted);
}

export async function leave() {
  await ask("/sandbox/session", { method: "DELETE" });
  localStorage.removeItem(KEY);
  location.assign("/");
}

// Somebody came here without a session: bring them back once they have one, from whichever tab.
export function remember() {
  if (location.pathname !== "/sandbox/open") localStorage.setItem(WANTED, location.pathname);
  addEventListener("storage", event => {
    if (event.key === KEY && event.newValue) location.replace(location.pathname === "/sandbox/open" ? "/" : location.pathname);
  });
}

export function show(...children) {
  const view = document.getElementById("view");
  document.getElementById("locked").hidden = true;
  view.hidden = false;
  replace(view, ...children);
}

// Whether the page still has its session, as far as it knows.
export const isOpen = () => document.getElementById("locked").hidden;

function lock() {
  document.getElementById("view").hidden = true;
  document.getElementById("locked").hidden = false;
  remember();
}

export const count = number => new Intl.NumberFormat("en").format(number);

export function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (value < 100) return `${value.toFixed(value < 10 ? 2 : 1)} s`;
  return value < 6000 ? `${Math.round(value / 60)} min` : `${(value / 3600).toFixed(1)} h`;
}

// How long something has been going on, no finer than one would say it.
export function age(value) {
  const whole = Math.max(0, Math.round(value));
  if (whole < 120) return `${whole} s`;
  return whole < 7200 ? `${Math.round(whole / 60)} min` : `${Math.round(whole / 3600)} h`;
}

// 1e-9 USD as money, with as many digits as it takes to see it.
export function usd(nano) {
  if (nano === null || nano === undefined) return "–";
  const value = nano / 1e9;
  const digits = value === 0 || Math.abs(value) >= 1 ? 2 : Math.abs(value) >= 0.01 ? 3 : 6;
  return `$${value.toFixed(digits)}`;
}

export function bytes(size) {
  return size < 1000 ? `${size} B` : size < 1e6 ? `${(size / 1e3).toFixed(1)} kB` : `${(size / 1e6).toFixed(1)} MB`;
}

export const clock = unix => new Date(unix * 1000).toLocaleTimeString("en-GB");

// Tabs as screen readers know them: one is in the tab order, arrows move between them.
export function tabs(label, entries, chosen = 0, changed = () => {}) {
  const id = `tabs-${Math.random().toString(36).slice(2, 8)}`;
  const panels = entries.map(([, content], index) =>
    make("div", { role: "tabpanel", id: `${id}-${index}`, "aria-labelledby": `${id}-tab-${index}`, class: "panel" }, content));
  const buttons = entries.map(([name], index) => make("button", {
    type: "button", role: "tab", id: `${id}-tab-${index}`, "aria-controls": `${id}-${index}`,
    on: { click: () => choose(index), keydown: event => move(event, index) },
  }, name));
  function choose(index) {
    buttons.forEach((button, other) => {
      button.setAttribute("aria-selected", String(other === index));
      button.tabIndex = other === index ? 0 : -1;
      panels[other].hidden = other !== index;
    });
    changed(index);
  }
  function move(event, index) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const next = (index + step + buttons.length) % buttons.length;
    choose(next);
    buttons[next].focus();
  }
  choose(chosen);
  return make("div", { class: "tabs" }, make("div", { role: "tablist", "aria-label": label }, buttons), panels);
}
