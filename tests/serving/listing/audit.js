// What axe has no rule for, or only a weaker one. Returns [rule, what][].
() => {
  const found = [];
  const lacking = (rule, element) => found.push([rule, typeof element === "string" ? element : element.outerHTML.slice(0, 90)]);
  const all = selector => [...document.querySelectorAll(selector)];

  // one main heading; sections and navigations with names; links inside of the page lead somewhere; ids once
  if (all("h1").length !== 1) lacking("one-heading-one", `h1: ${all("h1").length}`);
  for (const part of all("nav, section, aside")) {
    const by = (part.getAttribute("aria-labelledby") ?? "").split(" ").map(id => document.getElementById(id)?.textContent ?? "").join("");
    if (!(part.ariaLabel || by).trim()) lacking("region-name", part);
  }
  for (const link of all("a[href^='#']")) if (!document.querySelector(link.getAttribute("href"))) lacking("anchor", link);
  const ids = all("[id]").map(element => element.id);
  for (const id of new Set(ids)) if (ids.filter(other => other === id).length > 1) lacking("duplicate-id", id);
  for (const group of all("fieldset")) if (!group.querySelector("legend")?.textContent.trim()) lacking("fieldset-legend", group);

  // every table has a name and heads, and every head says of what it is one
  for (const table of all("table")) {
    const heads = [...table.querySelectorAll("th")];
    if (!heads.length) lacking("table-heads", table);
    for (const head of heads) if (!["col", "row"].includes(head.scope) || !head.textContent.trim()) lacking("table-head", head);
    if (!table.querySelector("caption") && !table.closest("[role=region][aria-label]") && !table.ariaLabel) lacking("table-name", table);
  }
  return found;
}
