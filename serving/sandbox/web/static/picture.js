// A picture for a field: a link, a file as data URI, or a file put into the sandbox's storage.

import { bytes, make, replace } from "./page.js";

export function picture(schema, { start, changed, upload }) {
  let held = ""; // a data URI, which no text field should have to show
  const typed = () => { held = ""; draw(); changed(); };
  const link = make("input", { type: "text", inputmode: "url", placeholder: "https://… or choose a file", on: { input: typed } });
  const ways = [make("option", { value: "data" }, "as data URI"), make("option", { value: "link" }, "by storage link")];
  const way = make("select", { "aria-label": "How the file is sent" }, ways);
  const label = "Choose a file";
  const file = make("input", { type: "file", accept: "image/*", "aria-label": label, on: { change: () => taken(file.files[0]) } });
  const shown = make("div", { class: "chosen" });
  const element = make("div", { class: "picture", on: { dragover: event => event.preventDefault(), drop: dropped } },
    link, make("div", { class: "file" }, file, way), shown);

  function set(value) {
    const inline = String(value ?? "").startsWith("data:");
    held = inline ? value : "";
    link.value = inline ? "" : value ?? "";
    draw(inline ? "picture" : "");
  }

  function draw(name = "") {
    const source = held || (/^https:\/\//.test(link.value) && link.value.startsWith(location.origin) ? link.value : "");
    const image = source ? make("img", { src: source, alt: "The chosen picture" }) : null;
    const words = held ? `${name || "picture"}, ${bytes(Math.round((held.length - held.indexOf(",")) * 0.75))}, as data URI` : name;
    const clear = () => { set(""); file.value = ""; changed(); };
    const remove = held ? make("button", { type: "button", on: { click: clear } }, "Remove") : null;
    replace(shown, image, words ? make("span", {}, words) : null, remove);
    link.disabled = Boolean(held);
  }

  async function taken(chosen) {
    if (!chosen) return;
    replace(shown, make("span", {}, "reading…"));
    try {
      if (way.value === "link") { set(await upload(chosen)); draw(`${chosen.name} is in the storage`); }
      else { set(await inline(chosen)); draw(chosen.name); }
    } catch (error) {
      replace(shown, make("span", { class: "bad" }, `could not be read: ${error.message}`));
    }
    changed();
  }

  function dropped(event) {
    event.preventDefault();
    taken(event.dataTransfer.files[0]);
  }

  set(start);
  return { element, input: link, set, value: () => held || link.value || undefined, kind: "wide" };
}

function inline(chosen) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => resolve(reader.result));
    reader.addEventListener("error", () => reject(reader.error));
    reader.readAsDataURL(chosen);
  });
}
