// The overview: asked for again every second while somebody looks.

import { age, clock, count, data, isOpen, leave, make, replace, seconds, show, usd } from "./page.js";

const EVERY = 1000;
const WORDS = {
  200: "done", 400: "bad request", 401: "no key", 403: "not allowed", 404: "not found", 413: "too large", 422: "refused",
  429: "too busy", 499: "cancelled", 500: "failed", 502: "failed", 503: "no runner", 504: "took too long",
};
const STATES = { SETUP: "setting up", IDLE: "idle", RUNNING: "at work", DRAINING: "finishing", TERMINATED: "ended" };
const COLUMNS = {
  apps: ["App", "Access", "Price", "Requests", "Units", "Revenue"],
  runners: ["Runner", "App", "State", "Places", "Machine"],
  requests: ["Time", "App", "Caller", "Outcome", "Waited", "Took", "Units", "Cost"],
};
const PLACES = ["tiles", "chart", "requests", "runners", "apps"];
const parts = Object.fromEntries(PLACES.map(name => [name, make("div", { id: name })]));
const voice = make("p", { class: "quiet", role: "status" });
const pause = make("button", { type: "button", "aria-pressed": "false", on: { click: toggle } }, "Pause");
let paused = false;

show(
  make("div", { class: "heading" }, make("h1", {}, "Overview"),
    make("div", { class: "actions" }, voice, pause, make("button", { type: "button", on: { click: leave } }, "End session"))),
  parts.tiles,
  make("div", { class: "columns wide" }, section("Apps", parts.apps), section("Runners", parts.runners)),
  section("Requests", parts.chart, parts.requests),
);
look();

async function look() {
  if (!paused && !document.hidden) {
    try {
      draw(await data("/sandbox/overview.json"));
      say("live");
    } catch (error) {
      say(error instanceof TypeError ? "The sandbox does not answer any more." : error.message);
    }
  }
  if (isOpen()) setTimeout(look, EVERY);
}

function toggle() {
  paused = !paused;
  pause.setAttribute("aria-pressed", String(paused));
  pause.textContent = paused ? "Go on" : "Pause";
  say(paused ? "paused" : "live");
}

function say(text) {
  if (voice.textContent !== text) voice.textContent = text;
}

function draw(seen) {
  const everything = [...seen.apps, ...seen.gone];
  replace(parts.tiles, tiles(seen, everything));
  replace(parts.chart, chart(seen.recent));
  const work = seen.at_work.map(call => workRow(call, seen.now)).reverse();
  update(parts.apps, COLUMNS.apps, seen.apps.map(app => appRow(app, everything)), "No app is deployed yet.");
  update(parts.runners, COLUMNS.runners, seen.runners.map(runner => runnerRow(runner, seen.now)), "No runner is up.");
  update(parts.requests, COLUMNS.requests, [...work, ...seen.requests.map(requestRow)], "No request so far.");
}

function tiles(seen, everything) {
  const sum = name => everything.reduce((total, app) => total + app[name], 0);
  const up = seen.runners.filter(runner => runner.state === "IDLE" || runner.state === "RUNNING").length;
  const entries = [
    ["Requests", count(sum("requests")), `${count(seen.at_work.length)} at work`],
    ["Units billed", count(sum("units")), `${count(sum("succeeded"))} requests succeeded`],
    ["Revenue", usd(sum("revenue_nano")), "no real money"],
    ["Runners up", count(up), `${count(seen.runners.length - up)} starting or ending`],
  ];
  return make("dl", { class: "tiles" }, entries.map(([name, value, note]) =>
    make("div", {}, make("dt", {}, name), make("dd", { class: "value" }, value), make("dd", { class: "note" }, note))));
}

// Bars of the last minutes; the text below says what they show.
function chart({ bars, every }) {
  const most = Math.max(1, ...bars.map(bar => bar.requests));
  const total = bars.reduce((sum, bar) => sum + bar.requests, 0);
  const failed = bars.reduce((sum, bar) => sum + bar.failed, 0);
  const width = 10, height = 48;
  const box = `0 0 ${bars.length * width} ${height}`;
  const drawing = svg("svg", { viewBox: box, preserveAspectRatio: "none", "aria-hidden": "true" });
  bars.forEach((bar, index) => {
    const tall = bar.requests / most * (height - 2), bad = bar.failed / most * (height - 2), x = index * width + 1;
    drawing.append(svg("rect", { class: "none", x, y: height - 1, width: width - 2, height: 1 }),
      svg("rect", { class: "good", x, y: height - tall, width: width - 2, height: tall - bad }),
      svg("rect", { class: "bad", x, y: height - bad, width: width - 2, height: bad }));
  });
  const minutes = bars.length * every / 60;
  const words = `${count(total)} requests in ${minutes} minutes, ${count(failed)} failed, at most ${count(most)} in ${every} s`;
  return make("figure", { class: "chart" }, drawing, make("figcaption", {}, total ? words : `No request in ${minutes} minutes`));
}

function svg(tag, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

function appRow(app, everything) {
  const most = Math.max(1, ...everything.map(other => other.revenue_nano));
  const price = app.unit_price_nano === null ? "not set" : `${usd(app.unit_price_nano)} per ${app.unit}`;
  const address = `/models/${encodeURIComponent(app.owner)}/${encodeURIComponent(app.name)}`;
  const link = make("a", { href: address }, `${app.owner}/${app.name}`);
  return [
    [link, small(`${app.revision.slice(0, 8)}, ${app.environment}`)],
    badge(app.auth, { public: "warn", shared: "good" }[app.auth] ?? "plain"),
    [price, app.auth === "shared" || app.unit_price_nano === null ? null : small("when shared")],
    [count(app.requests), app.failed ? make("small", { class: "bad" }, `${count(app.failed)} failed`) : null],
    count(app.units),
    [usd(app.revenue_nano), make("meter", { min: 0, max: most, value: app.revenue_nano, "aria-label": "share of the largest" })],
  ];
}

function runnerRow(runner, now) {
  const kind = { RUNNING: "busy", IDLE: "good", SETUP: "warn" }[runner.state] ?? "plain";
  return [
    [make("code", {}, runner.id.slice(0, 8)), small(runner.pid ? `process ${runner.pid}` : "starts")],
    [runner.app, small(runner.revision.slice(0, 8))],
    badge(STATES[runner.state] ?? runner.state, kind),
    `${runner.in_flight} of ${runner.places}`,
    [runner.machine_type || "–", small(runner.started_at === null ? "" : `for ${age(now - runner.started_at)}`)],
  ];
}

function workRow(call, now) {
  const waits = call.state === "IN_QUEUE";
  return [
    clock(call.created_at), `${call.app}${call.path === "/" ? "" : call.path}`, call.caller ?? "–",
    badge(waits ? "waits" : "at work", waits ? "warn" : "busy"), "–", age(now - call.created_at), "–", "–",
  ];
}

function requestRow(row) {
  const kind = row.status < 400 ? "good" : row.status < 500 ? "warn" : "bad";
  const name = (row.environment === "main" ? row.app : `${row.app}--${row.environment}`) + (row.path === "/" ? "" : row.path);
  return [
    clock(row.created_at), [name, small(row.request_id.slice(0, 8))],
    row.caller ?? "–", badge(`${row.status} ${WORDS[row.status] ?? ""}`.trim(), kind),
    seconds(row.wait_seconds), [seconds(row.seconds), row.attempts > 1 ? small(`${row.attempts} attempts`) : null],
    row.units === null ? "–" : count(row.units), cost(row),
  ];
}

// What the caller would pay; for a private or public app nobody pays by request: the owner pays the machine.
const cost = row => row.payer === null ? "–" : row.cost_nano === null ? "unknown" : usd(row.cost_nano);

const small = text => make("small", {}, text);

function badge(text, kind) {
  return make("span", { class: `badge ${kind}` }, text);
}

// Rows are drawn again only where they changed, so that what is being read or selected stays.
function update(place, columns, rows, nothing) {
  const cellOf = (cell, index) => make("td", { "data-label": columns[index] }, cell);
  const drawn = rows.map(cells => make("tr", {}, cells.map(cellOf)));
  const head = make("thead", {}, make("tr", {}, columns.map(name => make("th", { scope: "col" }, name))));
  const next = rows.length ? make("table", {}, head, make("tbody", {}, drawn)) : make("p", { class: "quiet" }, nothing);
  if (!place.firstChild?.isEqualNode(next)) replace(place, next);
}

function section(name, ...content) {
  const id = `of-${name.toLowerCase()}`;
  return make("section", { class: "card", "aria-labelledby": id }, make("h2", { id }, name), content);
}
