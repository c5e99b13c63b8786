// The page's playground: one request as a caller with a key of one's own. The key is read when it is sent and kept nowhere else.
"use strict";
(() => {
  const form = document.getElementById("try");
  const at = id => document.getElementById(`try-${id}`);
  const [key, endpoint, send, stop, status, failure, result] =
    ["key", "endpoint", "send", "stop", "status", "failure", "result"].map(at);
  const price = form.dataset.price ? Number(form.dataset.price) : null;
  const LONGEST = 600; // characters of an answer's reason that are shown
  let asking = null;

  const make = (tag, fields = {}, ...children) => {
    const made = Object.assign(document.createElement(tag), fields);
    made.append(...children);
    return made;
  };
  const many = (number, word) => `${number.toLocaleString("en")} ${word}${number === 1 ? "" : "s"}`;
  const dollars = amount => `$${amount.toFixed(6).replace(/(\.\d\d\d*?)0+$/, "$1")}`;
  const oneLine = text => String(text).split(/\s+/).join(" ").trim().slice(0, LONGEST);

  // Fields that are left empty are not sent: the app's own defaults hold.
  const request = () => {
    const body = {};
    for (const input of form.querySelectorAll("[data-field]")) {
      const [name, part] = input.dataset.field.split(".");
      const kind = input.dataset.kind;
      const value = input.type === "checkbox" ? input.checked : kind === "number" && input.value !== "" ? Number(input.value) : input.value;
      if (value === "") continue;
      if (part) body[name] = { ...body[name], [part]: value };
      else body[name] = value;
    }
    if (form.dataset.inline) body.sync_mode = true;
    return body;
  };

  // What was typed and can not be sent, and where; null where all is well.
  const wrong = () => {
    const faulty = form.querySelector(":invalid:not(fieldset)");
    if (faulty) return [faulty, `${faulty.dataset.name}: ${faulty.validationMessage}`];
    if (!/^[\x21-\x7e]+$/.test(key.value.trim())) return [key, "Key: paste a key of yours; it has no spaces."];
    const named = URL.canParse(endpoint.value.trim()) ? new URL(endpoint.value.trim()) : null;
    if (named?.protocol !== "https:" || named.username || named.search || named.hash) {
      return [endpoint, "Endpoint: give an https address without a question mark, such as the one that stood here."];
    }
    const sizes = [...form.querySelectorAll("[data-field^='image_size.']")];
    if (sizes.length && sizes.some(input => input.value) && !sizes.every(input => input.value)) {
      return [sizes.find(input => !input.value), "Size: give width and height, or neither."];
    }
    return null;
  };

  const reason = (code, body) => {
    const detail = body?.detail ?? body?.error ?? "";
    const said = Array.isArray(detail)
      ? detail.map(one => [(one.loc ?? []).filter(part => part !== "body").join("."), one.msg].filter(Boolean).join(": ")).join("; ")
      : typeof detail === "string" ? detail : JSON.stringify(detail);
    const meant = { 401: "the key was not accepted", 403: "this key may not call the endpoint", 404: "nothing answers at this endpoint",
      422: "the request was refused", 429: "too many requests wait; try again" }[code]
      ?? (code >= 500 ? "the endpoint failed" : "the request was refused");
    return oneLine(`${code}: ${meant}${said ? ` (${said})` : ""}.`);
  };

  // Units as the platform counted them; null where it did not say so to this page.
  const unitsOf = reply => {
    const said = reply.headers.get("x-fal-billable-units");
    return said !== null && said.trim() !== "" && Number.isFinite(Number(said)) ? Number(said) : null;
  };
  const billed = units => {
    if (units === null) return "The answer did not say to this page what is billed; the platform's own bill does.";
    const cost = price === null ? "the price of a unit is not agreed yet" : `${dollars(units * price)} at ${dollars(price)} a unit`;
    return `Billed: ${many(units, "unit")}, ${units ? cost : "nothing to pay"}.`;
  };

  const picture = (image, number, of, seed) => {
    const alt = `Drawn for “${of.prompt}”${seed === null ? "" : `, seed ${seed + number}`}`;
    const url = String(image.url);
    if (!url.startsWith("data:image/")) {
      const link = /^https:\/\//.test(url) ? make("a", { href: url, rel: "noreferrer", textContent: "Open the picture" }) : "no address";
      return make("figure", {}, make("figcaption", {}, link, " (it lies elsewhere; this page loads nothing from there)"));
    }
    const save = make("a", { href: url, download: `picture-${number + 1}.${url.slice(11).split(";")[0]}`, textContent: "Save" });
    save.setAttribute("aria-label", `Save picture ${number + 1}`);
    return make("figure", {}, make("img", { src: url, alt }),
      make("figcaption", {}, seed === null ? "" : `seed ${seed + number} · `, save));
  };

  const shown = (body, of, units, seconds) => {
    const images = Array.isArray(body?.images) ? body.images.filter(image => image && image.url) : [];
    const seed = Number.isInteger(body?.seed) ? body.seed : null;
    const missing = Array.isArray(body?.undelivered) ? body.undelivered : [];
    const why = [...new Set(missing.map(one => oneLine(one.reason).replaceAll("_", " ")))].join(", ");
    result.replaceChildren(...images.map((image, number) => picture(image, number, of, seed)));
    status.textContent = [
      `${many(images.length, "picture")} in ${seconds.toFixed(1)} s.`,
      missing.length ? `${missing.length} not delivered and not billed: ${why}.` : "",
      billed(units),
    ].filter(Boolean).join(" ");
  };
  const fail = (text, units = null) => {
    failure.textContent = units === null ? text : `${text} ${billed(units)}`;
    status.textContent = "";
  };

  const ask = async () => {
    failure.textContent = "";
    for (const input of form.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
    const fault = wrong();
    if (fault) {
      fault[0].setAttribute("aria-invalid", "true");
      fault[0].focus();
      fail(fault[1]);
      return;
    }
    asking = new AbortController();
    send.setAttribute("aria-disabled", "true");
    stop.hidden = false;
    form.setAttribute("aria-busy", "true");
    status.textContent = "Asked. The first picture can take a while where no runner is up.";
    result.replaceChildren();
    const body = request(), began = performance.now();
    try {
      const reply = await fetch(endpoint.value.trim(), {
        method: "POST", mode: "cors", credentials: "omit", cache: "no-store", redirect: "error", referrerPolicy: "no-referrer",
        headers: { "Authorization": `Key ${key.value.trim()}`, "Content-Type": "application/json", "Accept": "application/json" },
        body: JSON.stringify(body), signal: asking.signal,
      });
      const answer = await reply.json().catch(() => null);
      if (!reply.ok) fail(reason(reply.status, answer), unitsOf(reply));
      else if (answer === null) fail(`${reply.status}: the answer is not JSON; is this the address of an endpoint?`, unitsOf(reply));
      else shown(answer, body, unitsOf(reply), (performance.now() - began) / 1000);
    } catch (error) {
      fail(error.name === "AbortError" ? "Stopped. What was drawn until then may be billed."
        : "No answer: the endpoint is away, is not one this page may ask, does not let pages ask (CORS), or its certificate is not trusted here.");
    } finally {
      if (document.activeElement === stop) send.focus();
      asking = null;
      send.removeAttribute("aria-disabled");
      stop.hidden = true;
      form.removeAttribute("aria-busy");
    }
  };

  form.addEventListener("submit", event => {
    event.preventDefault();
    if (!asking) ask();
  });
  form.addEventListener("keydown", event => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  stop.addEventListener("click", () => asking?.abort());
  addEventListener("pagehide", () => { key.value = ""; });
  form.noValidate = true; // faults are said in one line below, and at their field
  form.hidden = false;
  document.getElementById("try-without").hidden = true;
})();
