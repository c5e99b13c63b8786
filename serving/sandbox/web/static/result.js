// What came back: pictures, what they cost, the rest; or why not.

import { failure } from "./failures.js";
import { bytes, count, make, replace, seconds, usd } from "./page.js";
import { shortened } from "./snippets.js";

const OF_PICTURES = new Set(["images", "image", "has_nsfw_concepts", "prompt", "timings", "seed", "undelivered"]);

export function answer(body, { row, units, reuse }) {
  const pictures = picturesIn(body);
  const facts = Object.entries(body ?? {}).filter(([key]) => !(pictures.length && OF_PICTURES.has(key)));
  return make("div", {},
    make("div", { class: "pictures" }, pictures.map((picture, index) => figure(picture, index, body.prompt))),
    undelivered(body),
    make("dl", { class: "facts" }, seedOf(body, reuse), timingsOf(body), bill(row, units)),
    pictures.length ? null : tree(Object.fromEntries(facts)),
    make("details", {}, make("summary", {}, "Answer as JSON"), make("pre", { tabindex: "0" }, JSON.stringify(body, shortened, 2))));
}

export function failed({ reply, body, form, output, voice, again }) {
  const found = failure(reply.status, body, reply.headers);
  const left = [...found.rest];
  let at = null;
  for (const { path, text } of found.complaints) {
    const input = complain(form, path, text);
    if (input) at ??= input;
    else left.push(path.length ? `${path.join(".")}: ${text}` : text);
  }
  voice.textContent = found.title;
  const retry = found.retry ? make("button", { type: "button", on: { click: again } }, "Send again") : null;
  const raw = make("details", {}, make("summary", {}, `Answer as JSON (status ${reply.status})`),
    make("pre", { tabindex: "0" }, JSON.stringify(body, shortened, 2)));
  const logged = [...output.querySelectorAll(".log")];
  const words = left.length || retry ? make("div", { class: "failure" }, left.map(text => make("p", {}, text)), retry) : null;
  replace(output, words, logged, raw);
  at?.focus();
}

// Down the path as far as there are controls: parts that name a variant of a union have none.
function complain(form, path, text) {
  let control = form, deepest = null;
  for (const part of path) {
    const next = control.at(part);
    if (next) control = deepest = next;
  }
  return deepest?.complain(text) ?? null;
}

function picturesIn(value, found = []) {
  if (Array.isArray(value)) value.forEach(item => picturesIn(item, found));
  else if (value && typeof value === "object") {
    const url = typeof value.url === "string" ? value.url : "";
    if (url && (String(value.content_type ?? "").startsWith("image/") || /^data:image\//.test(url))) found.push(value);
    else Object.values(value).forEach(item => picturesIn(item, found));
  }
  return found;
}

function figure(picture, index, prompt) {
  const alt = prompt ? `Picture ${index + 1}: ${prompt}` : `Picture ${index + 1}`;
  const image = make("img", { src: picture.url, alt, width: picture.width, height: picture.height });
  const size = make("span", {});
  image.addEventListener("load", () => { size.textContent = `${image.naturalWidth} × ${image.naturalHeight}`; });
  image.addEventListener("error", () => { size.textContent = "lies elsewhere: this page loads nothing from there"; });
  const name = picture.file_name ?? `picture-${index + 1}.${(picture.content_type ?? "image/png").split("/")[1]}`;
  const weight = picture.file_size ? `, ${bytes(picture.file_size)}` : "";
  const save = make("a", { href: picture.url, download: name }, "Save");
  return make("figure", {}, image, make("figcaption", {}, size, weight, " ", save));
}

function undelivered(body) {
  const missing = Array.isArray(body?.undelivered) ? body.undelivered : [];
  const reasons = [...new Set(missing.map(item => String(item.reason).replaceAll("_", " ")))].join(", ");
  const words = `${count(missing.length)} not delivered and not billed: ${reasons}.`;
  return missing.length ? make("p", { class: "failure" }, words) : null;
}

function seedOf(body, reuse) {
  if (!Number.isInteger(body?.seed)) return null;
  const button = make("button", { type: "button", class: "example", on: { click: () => reuse(body.seed) } }, "use it again");
  return fact("Seed", [String(body.seed), " ", button]);
}

function timingsOf(body) {
  const entries = Object.entries(body?.timings ?? {}).filter(([, value]) => typeof value === "number");
  const words = entries.map(([name, value]) => `${name} ${seconds(value)}`).join(", ");
  return entries.length ? fact("Timings", words) : null;
}

function bill(row, units) {
  if (units === null && !row?.payer) return fact("Billed", "nothing was said: the app sent no x-fal-billable-units");
  const many = units === null ? null : `${count(Number(units))} ${Number(units) === 1 ? "unit" : "units"}`;
  if (!row?.payer) return fact("Billed", [many, small("nobody pays by request here: the owner of the app pays the machine")]);
  const said = many ?? `${row.quantity} ${row.unit}s`;
  if (Number(row.quantity) === 0) return fact("Billed", [said, small("so it would cost nothing")]);
  if (row.cost_nano === null) return fact("Billed", [said, small("no price is set, so what it would cost is not known")]);
  const sum = `${count(Number(row.quantity))} × ${usd(row.unit_price_nano)} per ${row.unit} = ${usd(row.cost_nano)}`;
  return fact("Billed", [sum, small("what it would cost the caller: no real money moves")]);
}

const small = text => make("small", {}, text);

function fact(name, value) {
  return make("div", {}, make("dt", {}, name), make("dd", {}, value));
}

// An answer without pictures, as names and values.
function tree(value) {
  if (value === null || typeof value !== "object") return make("span", {}, value === null ? "–" : shortened("", String(value)));
  const entries = Object.entries(value);
  if (!entries.length) return make("span", {}, "none");
  const entry = ([key, item]) => make("div", {}, make("dt", {}, key.replaceAll("_", " ")), make("dd", {}, tree(item)));
  return make("dl", { class: "tree" }, entries.map(entry));
}
