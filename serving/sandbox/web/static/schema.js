// What a JSON schema says of a field; context: {root: the OpenAPI, name, needed: whether it has to be sent, start}.

// $ref followed, `null` among the variants taken out: what may be null may also be left out.
export function resolved(schema, root) {
  let found = schema;
  for (let hops = 0; found.$ref && hops < 20; hops++) {
    const { $ref, ...own } = found;
    const parts = $ref.split("/").slice(1).map(part => part.replaceAll("~1", "/").replaceAll("~0", "~"));
    found = { ...parts.reduce((place, part) => place?.[part], root), ...own };
  }
  if (found.allOf?.length === 1) {
    const { allOf, ...own } = found;
    return resolved({ ...allOf[0], ...own }, root);
  }
  const given = found.anyOf ?? found.oneOf;
  if (given) {
    const { anyOf, oneOf, ...own } = found;
    const variants = given.map(variant => resolved(variant, root)).filter(variant => variant.type !== "null");
    const nullable = variants.length < given.length;
    return variants.length === 1 ? { ...variants[0], ...own, nullable } : { ...own, variants, nullable };
  }
  if (Array.isArray(found.type)) {
    const types = found.type.filter(type => type !== "null");
    return { ...found, type: types.length === 1 ? types[0] : undefined, nullable: types.length < found.type.length };
  }
  return found;
}

export const isPicture = (schema, name) => schema.ui?.field === "image" || /(^|_)(image|mask)_urls?$/.test(name);

// What a field starts with: its default, else (where it has to be sent) its first example.
export function first(schema, context) {
  return schema.default !== undefined ? schema.default : context.needed ? schema.examples?.[0] ?? context.start : undefined;
}

// Equal as JSON, in whatever order the keys stand.
export function same(one, other) {
  if (one === null || other === null || typeof one !== "object" || typeof other !== "object") return one === other;
  const keys = Object.keys(one);
  return keys.length === Object.keys(other).length && keys.every(key => key in other && same(one[key], other[key]));
}

// The lowest and the highest value; of integers the ones that are allowed themselves.
export function bounds(schema) {
  const one = schema.type === "integer" ? 1 : 0;
  const low = schema.minimum ?? above(schema.exclusiveMinimum, one);
  return { low, high: schema.maximum ?? above(schema.exclusiveMaximum, -one) };
}

const above = (value, by) => value === undefined ? undefined : value + by;

export function limits(schema, context) {
  const said = [];
  const { low, high } = bounds(schema);
  if (low !== undefined && low === high) said.push(`always ${low}`);
  else if (low !== undefined && high !== undefined) said.push(`${low} to ${high}`);
  else if (low !== undefined) said.push(`at least ${low}`);
  else if (high !== undefined) said.push(`at most ${high}`);
  if (schema.multipleOf > 1 && low !== high) said.push(`steps of ${schema.multipleOf}`);
  if (schema.maxLength) said.push(`up to ${schema.maxLength} characters`);
  if (schema.maxItems) said.push(`up to ${schema.maxItems}`);
  if (schema["x-fal"]?.max_area) said.push(`area up to ${schema["x-fal"].max_area} pixels`);
  if (schema.default !== undefined) said.push(...tellable(schema.default));
  else if (!context.needed) said.push("may be left out");
  return said.join(" · ");
}

const tellable = value => value === "" || typeof value === "object" ? [] : [`default ${value}`];

export const named = (schema, context) => {
  const name = schema.title || context.name.replaceAll("_", " ");
  return (name.charAt(0).toUpperCase() + name.slice(1).toLowerCase()).replace(/\burl\b/g, "URL");
};

export const kindOf = schema => schema.properties ? orderOf(schema).join(" and ") : schema.type ?? "JSON";

// The order of the source, which the SDK writes down, since JSON on its way through the platform does not keep it.
export const orderOf = schema => schema["x-fal-order-properties"] ?? Object.keys(schema.properties ?? {});

export function fits(schema, value) {
  const type = Array.isArray(value) ? "array" : value === null ? "null" : typeof value;
  return schema.type === type || (schema.type === "integer" && Number.isInteger(value));
}
