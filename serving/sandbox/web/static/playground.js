// The playground of one app: a tab for each endpoint, a form from its OpenAPI, calls through the queue like any caller's.

import { form } from "./form.js";
import { answer, failed } from "./result.js";
import { ask, data, make, replace, seconds, show, tabs, usd } from "./page.js";
import { snippets } from "./snippets.js";

const EVERY = 250; // ms between two looks at a request
const [, , owner, name] = location.pathname.split("/").map(decodeURIComponent);
const place = `/sandbox/apps/${encodeURIComponent(owner)}/${encodeURIComponent(name)}`;

begin().catch(error => {
  show(make("div", { class: "card" }, make("h1", {}, `${owner}/${name}`), make("p", { role: "alert" }, error.message)));
});

async function begin() {
  const app = await data(`${place}.json`);
  const account = app.auth === "private" ? app.owner : "sandbox-caller";
  const endpoints = endpointsOf(app);
  const panels = endpoints.map(endpoint => [endpoint.title, panel(app, account, endpoint)]);
  const asked = endpoints.findIndex(endpoint => endpoint.path === location.hash.slice(1));
  const chosen = index => { if (index || endpoints[asked]) history.replaceState(null, "", `#${endpoints[index].path}`); };
  const content = panels.length ? tabs("Endpoints", panels, Math.max(0, asked), chosen)
    : make("p", { class: "card" }, "This revision was deployed without an OpenAPI, so there is nothing to draw a form from.");
  show(heading(app, account), content, runnerLog());
  if (location.hash === "#log") document.getElementById("log").open = true;
}

function heading(app, account) {
  const why = account === app.owner ? "the owner, since the app is private" : "another account than the owner's";
  const price = app.unit_price_nano === null ? "no price is set" : `${usd(app.unit_price_nano)} per ${app.unit}`;
  return make("div", { class: "heading" },
    make("div", {}, make("h1", {}, `${app.owner}/${app.name}`), make("p", { class: "quiet" },
      `revision ${app.revision.slice(0, 8)}, ${app.auth}, ${price}. Called here as `, make("code", {}, account), `, ${why}.`)),
    make("div", { class: "actions" }, make("a", { class: "button", href: "/" }, "Overview")));
}

// POST endpoints that take a JSON body, in the order of the app; not the health check, nor the paths that cancel.
function endpointsOf(app) {
  const paths = app.openapi.paths ?? {};
  const order = app.openapi["x-fal-order-paths"] ?? Object.keys(paths);
  return order.filter(path => path !== app.health_path && !path.endsWith("/cancel")).flatMap(path => {
    const operation = paths[path]?.post;
    const schema = operation?.requestBody?.content?.["application/json"]?.schema;
    return schema ? [{ path, schema, title: operation.summary ?? path, description: operation.description }] : [];
  });
}

function panel(app, account, endpoint) {
  const call = { address: location.host, name: `${owner}/${name}`, path: endpoint.path };
  const source = make("div", { class: "source" });
  const chosen = { index: 0 };
  const body = form(endpoint.schema, { root: app.openapi, upload: file => upload(account, file), changed: () => tell() });
  const tell = () => replace(source, sameCall({ ...call, body: body.value() }, chosen));
  const output = make("div", { class: "output" });
  const voice = make("p", { class: "voice", role: "status" }, "Nothing sent yet.");
  const send = make("button", { type: "submit", class: "primary" }, "Send");
  const stop = make("button", { type: "button", hidden: true }, "Cancel");
  const run = async event => {
    event?.preventDefault();
    send.disabled = true;
    clear(body.element);
    replace(output);
    if (matchMedia("(max-width: 52rem)").matches) result.scrollIntoView();
    try {
      await carry({ call, account, body, tell, output, voice, stop, again: run });
    } catch (error) {
      voice.textContent = `The sandbox does not answer: ${error.message}`;
    }
    send.disabled = false;
    stop.hidden = true;
  };
  const filled = make("form", { novalidate: true, class: "card", on: { submit: run } },
    endpoint.description ? make("p", { class: "quiet" }, endpoint.description) : null, body.element,
    make("div", { class: "actions" }, send, stop));
  tell();
  const result = make("section", { class: "card result", "aria-label": "Answer" }, make("h2", {}, "Answer"), voice, output);
  return make("div", { class: "columns" }, filled, make("div", {}, result,
    make("section", { class: "card", "aria-label": "The same call" }, make("h2", {}, "The same call"), source)));
}

async function carry({ call, account, body, tell, output, voice, stop, again }) {
  const base = `/sandbox/as/${account}`;
  const queue = `${base}/queue/${call.name}`;
  const log = make("pre", { class: "log", tabindex: "0", "aria-label": "Log of the request", hidden: true });
  const bar = make("progress", { "aria-label": "The request is on its way" });
  const sent = await ask(queue + (call.path === "/" ? "" : call.path), { method: "POST", json: body.value() });
  const ticket = await parsed(sent);
  if (!sent.ok) return failed({ reply: sent, body: ticket, form: body, output, voice, again });
  const began = performance.now(), own = `${queue}/requests/${ticket.request_id}`;
  stop.hidden = false;
  stop.onclick = () => ask(`${own}/cancel`, { method: "PUT" });
  replace(output, bar, log);
  for (;;) {
    const seen = await parsed(await ask(`${own}/status?logs=1`));
    log.textContent = (seen?.logs ?? []).map(line => line.message).join("\n");
    log.hidden = !log.textContent;
    if (seen?.status === "COMPLETED" || !seen?.status) break;
    const ahead = seen.queue_position ?? 0;
    const waits = ahead ? `Waits in the queue, ${ahead} ahead of it` : "Waits for a runner";
    voice.textContent = seen.status === "IN_QUEUE" ? waits : `At work, ${seconds((performance.now() - began) / 1000)}`;
    await new Promise(done => setTimeout(done, EVERY));
  }
  bar.remove();
  const reply = await ask(own);
  const found = await parsed(reply);
  const row = await data(`/sandbox/requests/${ticket.request_id}.json`).catch(() => null);
  if (!reply.ok) return failed({ reply, body: found, form: body, output, voice, again });
  voice.textContent = `Done in ${seconds((performance.now() - began) / 1000)}.`;
  const reuse = seed => { body.at("seed")?.set(seed); tell(); };
  output.prepend(answer(found, { row, units: reply.headers.get("x-fal-billable-units"), reuse }));
}

async function upload(account, file) {
  const wanted = { file_name: file.name, content_type: file.type || "application/octet-stream" };
  const ticket = await ask(`/sandbox/as/${account}/storage/upload/initiate`, { method: "POST", json: wanted });
  const { file_url, upload_url } = await ticket.json();
  const put = await fetch(upload_url, { method: "PUT", body: file });
  if (!put.ok) throw new Error(`the storage answered ${put.status}`);
  return file_url;
}

function sameCall(call, chosen) {
  const entry = ([title, shown, whole]) => [title, make("div", { class: "snippet" },
    make("button", { type: "button", on: { click: event => copy(event.target, whole) } }, "Copy"),
    make("pre", { tabindex: "0", "aria-label": title }, make("code", {}, shown)))];
  return tabs("Language", snippets(call).map(entry), chosen.index, index => { chosen.index = index; });
}

async function copy(button, text) {
  const word = await navigator.clipboard.writeText(text).then(() => "Copied", () => "Not allowed");
  button.textContent = word;
}

function runnerLog() {
  const lines = make("pre", { class: "log", tabindex: "0", "aria-label": "Last lines of the runner" }, "…");
  const none = "No line yet: no runner of this revision has started.";
  const look = async () => {
    lines.textContent = await data(`${place}/log.json`).then(found => found.lines.join("\n") || none, error => error.message);
  };
  return make("details", { class: "card", id: "log", on: { toggle: event => event.target.open && look() } },
    make("summary", {}, "Log of the runner"), make("button", { type: "button", on: { click: look } }, "Look again"), lines);
}

function clear(element) {
  for (const place of element.querySelectorAll("p.error")) place.hidden = true;
  for (const input of element.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
}

async function parsed(reply) {
  return reply.json().catch(() => null);
}
