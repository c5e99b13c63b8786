// The same call as other programs make it.

const LONG = 400; // characters of a value that is shown shortened

// [[name, text to show, text to copy]]
export function snippets({ address, name, path, body }) {
  const shown = JSON.stringify(body, shortened, 2), whole = JSON.stringify(body, null, 2);
  return [
    ["JSON", shown, whole],
    ["Python", python(name, path, body), python(name, path, body)],
    ["curl", curl(address, name, path, body), curl(address, name, path, body)],
  ];
}

export function shortened(_, value) {
  if (typeof value !== "string" || value.length <= LONG) return value;
  return `${value.slice(0, 40)}… (${value.length} characters)`;
}

function python(name, path, body) {
  const endpoint = JSON.stringify(name + (path === "/" ? "" : path));
  return [
    "# eval \"$(lorasmith sandbox up --export)\"",
    "import fal_client", "",
    `answer = fal_client.subscribe(${endpoint}, arguments=${literal(body, "")})`,
    "print(answer)",
  ].join("\n");
}

function literal(value, indent) {
  if (value === null || value === undefined) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (typeof value === "string" && value.startsWith("data:") && value.length > LONG) return "fal_client.encode_file(\"picture\")";
  if (typeof value !== "object") return JSON.stringify(value);
  const deeper = `${indent}    `, many = Array.isArray(value);
  const entries = many ? value.map(item => literal(item, deeper))
    : Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}: ${literal(item, deeper)}`);
  const [open, close] = many ? "[]" : "{}";
  return entries.length ? `${open}\n${entries.map(entry => `${deeper}${entry},\n`).join("")}${indent}${close}` : open + close;
}

function curl(address, name, path, body) {
  const text = JSON.stringify(body);
  const content = text.length > 4 * LONG ? "@body.json  # the JSON, saved to this file" : `'${text.replaceAll("'", "'\\''")}'`;
  return [
    "# eval \"$(lorasmith sandbox up --export)\"",
    `curl https://${address}/${name}${path === "/" ? "" : path} \\`,
    "  --cacert \"$SSL_CERT_FILE\" \\",
    "  -H \"Authorization: Key $FAL_KEY\" \\",
    "  -H 'Content-Type: application/json' \\",
    `  -d ${content}`,
  ].join("\n");
}
