// A form from a JSON schema. A control is {element, value(), set(value), at(name), complain(text)}; undefined is not sent.

import { picture } from "./picture.js";
import { make, replace } from "./page.js";
import { bounds, first, fits, isPicture, kindOf, limits, named, orderOf, resolved, same } from "./schema.js";

const DEEPEST = 6;
const LONGEST_LINE = 120; // characters that a single line may have to hold
const STEPS = 1000; // of a slider
let made = 0;

// The form of a request body. context: {root: the OpenAPI, upload: file -> address, changed: () -> void}.
export function form(schema, context) {
  return group(resolved(schema, context.root), { ...context, name: "", depth: 0, needed: true }, true);
}

function control(given, context) {
  const schema = resolved(given, context.root);
  if (context.depth > DEEPEST) return plain(schema, context);
  if (schema.variants) return either(schema, context);
  if (schema.const !== undefined) return fixed(schema);
  if (schema.enum) return choice(schema, context);
  if (schema.type === "boolean") return flag(schema, context);
  if (schema.type === "integer" || schema.type === "number") return number(schema, context);
  if (schema.type === "string") return isPicture(schema, context.name) ? framed(schema, context, picture) : text(schema, context);
  if (schema.type === "array" && schema.items) return list(schema, context);
  if (schema.type === "object" && schema.properties) return group(schema, context);
  return plain(schema, context);
}

// Label, description, bounds, complaint around one input. `build` makes {element, value, set}; element gets the id.
function framed(schema, context, build) {
  const id = `field-${++made}`;
  const error = make("p", { class: "error", id: `${id}-error`, hidden: true });
  const inner = build(schema, { ...context, id, start: first(schema, context) });
  const input = inner.input ?? inner.element;
  input.id = id;
  input.setAttribute("aria-describedby", `${id}-hint ${id}-error`);
  if (context.needed && schema.default === undefined && !inner.many) input.setAttribute("aria-required", "true");
  const words = [named(schema, context), " ", make("code", {}, context.name)];
  const label = inner.many ? make("p", { class: "label", id: `${id}-label` }, words) : make("label", { for: id }, words);
  const rule = make("span", { class: "bounds" }, limits(schema, context));
  const hint = make("p", { class: "hint", id: `${id}-hint` }, schema.description ? `${schema.description} ` : "", rule);
  const tries = examples(schema, context, inner);
  const role = inner.many ? { role: "group", "aria-labelledby": `${id}-label` } : {};
  const element = make("div", { class: `field ${inner.kind ?? ""}`, ...role }, label, inner.element, tries, hint, error);
  return { ...inner, element, at: inner.at ?? (() => null), complain: complainer(input, error) };
}

function complainer(input, error) {
  return complaint => {
    error.textContent = complaint ?? "";
    error.hidden = !complaint;
    if (complaint) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
    if (complaint) return input;
    return null;
  };
}

// Examples that are not in the field already, as buttons that put them there.
function examples(schema, context, inner) {
  const shown = (schema.examples ?? []).filter(example => typeof example !== "object" && !same(example, first(schema, context)));
  const take = example => () => { inner.set(example); context.changed(); };
  const words = example => String(example).startsWith("data:") ? "the example" : String(example);
  const button = example => make("button", { type: "button", class: "example", on: { click: take(example) } }, words(example));
  const buttons = shown.slice(0, 4).map(button);
  return buttons.length ? make("p", { class: "examples" }, "e.g. ", buttons) : null;
}

function text(schema, context) {
  return framed(schema, context, (_, { start, changed }) => {
    const long = (schema.maxLength ?? 0) > LONGEST_LINE || /prompt|text/.test(context.name);
    const input = make(long ? "textarea" : "input", { rows: long ? 3 : null, type: long ? null : "text", on: { input: changed } });
    const set = value => { input.value = value ?? ""; };
    set(start);
    return { element: input, set, value: () => input.value === "" && !context.needed ? undefined : input.value, kind: "wide" };
  });
}

function number(schema, context) {
  return framed(schema, context, (_, { start, changed, id }) => {
    const { low, high } = bounds(schema);
    const fine = high - low <= 2 ? 0.01 : high - low <= 20 ? 0.1 : "any";
    const step = schema.multipleOf ?? (schema.type === "integer" ? 1 : fine);
    const input = make("input", { type: "number", step, min: low, max: high, on: { input: () => { slide(); changed(); } } });
    const bounded = low <= high && step !== "any" && (high - low) / step <= STEPS;
    const slider = bounded && low < high ? make("input", {
      type: "range", min: low, max: high, step, "aria-label": `${named(schema, context)}, slider`, id: `${id}-slider`,
      on: { input: () => { input.value = slider.value; changed(); } },
    }) : null;
    const slide = () => { if (slider && input.value !== "") slider.value = input.value; };
    const set = value => { input.value = value ?? ""; slide(); };
    const middle = low + Math.round((high - low) / 2 / step) * step;
    set(bounded && context.needed && start === undefined ? middle : start);
    const value = () => input.value === "" ? undefined : Number(input.value);
    return { element: make("div", { class: "number" }, input, slider), input, set, value };
  });
}

function flag(schema, context) {
  return framed(schema, context, (_, { start, changed }) => {
    const input = make("input", { type: "checkbox", on: { change: changed } });
    const set = value => { input.checked = value === true; };
    set(start);
    return { element: input, set, value: () => input.checked, kind: "flag" };
  });
}

function choice(schema, context) {
  return framed(schema, context, (_, { start, changed }) => {
    const input = make("select", { on: { change: changed } });
    if (start === undefined) input.append(make("option", { value: "" }, "not sent"));
    schema.enum.forEach((option, index) => input.append(make("option", { value: index }, String(option))));
    const set = value => { input.value = String(schema.enum.findIndex(option => same(option, value))); };
    if (start !== undefined) set(start);
    return { element: input, set, value: () => input.value === "" ? undefined : schema.enum[Number(input.value)] };
  });
}

// One of several schemas: the values of enums stand beside the names of the others, whose own controls open below.
function either(schema, context) {
  return framed(schema, context, (_, { start, changed }) => {
    const options = start === undefined || schema.nullable ? [{ label: "not sent" }] : [];
    for (const variant of schema.variants) {
      const values = variant.enum ?? (variant.const !== undefined ? [variant.const] : null);
      if (values) options.push(...values.map(fixed => ({ label: String(fixed), fixed })));
      else options.push({ label: `custom: ${kindOf(variant)}`, variant });
    }
    const input = make("select", { on: { change: () => { open(); changed(); } } });
    options.forEach((option, index) => input.append(make("option", { value: index }, option.label)));
    const below = make("div", { class: "below" });
    const chosen = () => options[Number(input.value)];
    const open = () => {
      const option = chosen();
      if (option.variant) option.control ??= control({ ...option.variant, title: "" }, inside(context));
      replace(below, option.control?.element);
    };
    const set = value => {
      const takes = option => "fixed" in option ? same(option.fixed, value) : option.variant && fits(option.variant, value);
      const found = options.findIndex(takes);
      input.value = String(Math.max(0, found));
      open();
      if (found >= 0) chosen().control?.set(value);
    };
    set(start);
    return {
      element: make("div", {}, input, below), input, set, kind: "either",
      value: () => { const option = chosen(); return "fixed" in option ? option.fixed : option.control?.value(); },
      at: name => chosen().control?.at(name) ?? null,
    };
  });
}

const inside = context => ({ ...context, needed: true, start: undefined, depth: context.depth + 1 });

function fixed(schema) {
  return { element: null, value: () => schema.const, set: () => {}, at: () => null, complain: () => null };
}

function list(schema, context) {
  return framed(schema, context, (_, { start, changed }) => {
    const items = [];
    const rows = make("ol", { class: "items" });
    const add = make("button", { type: "button", on: { click: () => { append(undefined); changed(); } } }, "Add");
    const draw = () => {
      const remove = index => () => { items.splice(index, 1); draw(); changed(); };
      replace(rows, items.map((item, index) => make("li", {}, item.element,
        make("button", { type: "button", "aria-label": `Remove item ${index + 1}`, on: { click: remove(index) } }, "Remove"))));
      add.disabled = schema.maxItems !== undefined && items.length >= schema.maxItems;
    };
    const append = value => {
      const item = control({ title: "Item", ...schema.items }, inside(context));
      if (value !== undefined) item.set(value);
      items.push(item);
      draw();
    };
    const set = values => { items.splice(0); (Array.isArray(values) ? values : []).forEach(append); draw(); };
    set(start);
    return {
      element: make("div", { class: "list" }, rows, add), input: add, many: true, set, kind: "wide",
      value: () => items.length || context.needed ? items.map(item => item.value()) : undefined,
      at: name => items[Number(name)] ?? null,
    };
  });
}

// An object. The outermost one puts what matters first and the rest under "More".
function group(schema, context, outermost = false) {
  const required = new Set(schema.required ?? []);
  const start = first(schema, context) ?? {};
  const fields = [];
  for (const name of orderOf(schema)) {
    const own = resolved(schema.properties[name], context.root);
    if (own.ui?.hidden) continue;
    const needed = required.has(name);
    const made = control(own, { ...context, name, needed, start: undefined, depth: context.depth + 1 });
    if (start[name] !== undefined) made.set(start[name]);
    fields.push({ name, own, needed, made, important: needed || own.ui?.important === true });
  }
  const main = fields.some(field => field.important) && outermost ? fields.filter(field => field.important) : fields;
  const rest = fields.filter(field => !main.includes(field));
  const folded = rest.map(field => field.made.element);
  const more = rest.length ? make("details", { class: "more" }, make("summary", {}, `More (${rest.length})`), folded) : null;
  const error = make("p", { class: "error", hidden: true });
  const name = named(schema, context);
  const title = outermost || schema.title === "" ? null : make("legend", {}, name, " ", make("code", {}, context.name));
  const element = make(outermost ? "div" : "fieldset", { class: "group", "aria-label": title || outermost ? null : name },
    title, main.map(field => field.made.element), more, error);
  return {
    element,
    set: value => {
      for (const { name, made } of fields) if (value?.[name] !== undefined) made.set(value[name]);
    },
    at: name => {
      const found = fields.find(field => field.name === name);
      if (rest.includes(found)) more.open = true;
      return found?.made ?? null;
    },
    complain: complainer(element, error),
    value: () => {
      const sent = {};
      for (const { name, own, needed, made } of fields) {
        const value = made.value();
        if (value !== undefined && (needed || !same(value, own.default))) sent[name] = value;
      }
      return outermost || context.needed || Object.keys(sent).length ? sent : undefined;
    },
  };
}

// What no other control can draw, as JSON.
function plain(schema, context) {
  return framed(schema, context, (_, { start, changed }) => {
    const input = make("textarea", { rows: 3, class: "json", spellcheck: "false", on: { input: changed } });
    const set = value => { input.value = value === undefined ? "" : JSON.stringify(value, null, 1); };
    set(start);
    const value = () => {
      try { return input.value === "" ? undefined : JSON.parse(input.value); } catch { return input.value; }
    };
    return { element: input, set, value, kind: "wide" };
  });
}
