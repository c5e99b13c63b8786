// What a page lacks for people who do not see it, see it badly, or use no mouse; after WCAG 2.2 A and AA. Returns [rule, what][].
() => {
  const found = [];
  const lacking = (rule, element, more = "") => {
    const text = typeof element === "string" ? element : element.outerHTML.slice(0, 90);
    found.push([rule, more ? `${text}: ${more}` : text]);
  };
  const all = selector => [...document.querySelectorAll(selector)];
  const seen = element => element.checkVisibility({ opacityProperty: false, visibilityProperty: true });
  const named = element => {
    const by = element.getAttribute("aria-labelledby");
    const labels = element.labels ? [...element.labels].map(label => label.textContent).join(" ") : "";
    const images = [...element.querySelectorAll("img")].map(image => image.alt).join(" ");
    const pointed = by ? by.split(" ").map(id => document.getElementById(id)?.textContent ?? "").join(" ") : "";
    return [pointed, element.getAttribute("aria-label"), labels, element.textContent, images, element.title].some(text => text?.trim());
  };

  // language, title, one main, landmarks with names where there are several, all text inside of one
  if (!document.documentElement.lang) lacking("html-has-lang", "html");
  if (!document.title.trim()) lacking("document-title", "title");
  if (all("main").length !== 1) lacking("landmark-one-main", `main: ${all("main").length}`);
  const landmarks = "main, nav, header, footer, aside, [role=note], .skip";
  for (const nav of all("nav, section")) if (!named(nav) || !(nav.ariaLabel || nav.getAttribute("aria-labelledby"))) lacking("region-name", nav);
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = texts.nextNode(); node; node = texts.nextNode()) {
    const parent = node.parentElement;
    if (node.textContent.trim() && seen(parent) && !parent.closest(landmarks)) lacking("region", parent);
  }

  // headings in order, references that lead somewhere, ids once
  const levels = all("h1, h2, h3, h4, h5, h6").filter(seen).map(heading => Number(heading.tagName[1]));
  if (levels[0] !== 1 || levels.filter(level => level === 1).length !== 1) lacking("page-has-heading-one", levels.join());
  levels.forEach((level, place) => { if (place && level > levels[place - 1] + 1) lacking("heading-order", `${levels[place - 1]}, ${level}`); });
  for (const heading of all("h1, h2, h3, h4")) if (!heading.textContent.trim()) lacking("empty-heading", heading);
  const ids = all("[id]").map(element => element.id);
  for (const id of new Set(ids)) if (ids.filter(other => other === id).length > 1) lacking("duplicate-id", id);
  for (const element of all("[aria-labelledby], [aria-describedby], [aria-controls], label[for]")) {
    for (const name of ["aria-labelledby", "aria-describedby", "aria-controls", "for"]) {
      for (const id of (element.getAttribute(name) ?? "").split(" ").filter(Boolean)) if (!ids.includes(id)) lacking("aria-valid-attr-value", element, id);
    }
  }
  for (const link of all("a[href^='#']")) if (!document.querySelector(link.getAttribute("href"))) lacking("skip-link", link);

  // names of what can be operated and of pictures; lists and tables as such
  const controls = all("a[href], button, input, select, textarea, summary, [tabindex='0']");
  for (const control of controls) if (!named(control)) lacking("control-name", control);
  for (const image of all("img")) if (!image.alt.trim() && image.getAttribute("role") !== "presentation") lacking("image-alt", image);
  for (const hidden of all("[aria-hidden=true]")) if (hidden.querySelector("a, button, input, [tabindex]")) lacking("aria-hidden-focus", hidden);
  for (const item of all("[tabindex]")) if (item.tabIndex > 0) lacking("tabindex", item);
  for (const list of all("ul, ol")) if ([...list.children].some(child => child.tagName !== "LI")) lacking("list", list);
  for (const list of all("dl")) if ([...list.children].some(child => !["DIV", "DT", "DD"].includes(child.tagName))) lacking("definition-list", list);
  for (const group of all("fieldset")) if (!group.querySelector("legend")?.textContent.trim()) lacking("fieldset-legend", group);
  for (const table of all("table")) {
    const cells = [...table.querySelectorAll("td")], heads = [...table.querySelectorAll("th")];
    if (cells.length && !heads.length) lacking("td-has-header", table);
    for (const head of heads) {
      if (!["col", "row"].includes(head.scope)) lacking("scope-attr-valid", head);
      if (!head.textContent.trim()) lacking("empty-table-header", head);
    }
    if (!table.querySelector("caption") && !table.closest("[role=region][aria-label]") && !table.ariaLabel) lacking("table-name", table);
  }

  // what scrolls can be scrolled by keyboard; what is pressed is large enough, inside of a sentence aside
  for (const element of all("*").filter(seen)) {
    const style = getComputedStyle(element);
    const scrolls = (element.scrollWidth > element.clientWidth + 1 && ["auto", "scroll"].includes(style.overflowX))
      || (element.scrollHeight > element.clientHeight + 1 && ["auto", "scroll"].includes(style.overflowY));
    if (scrolls && element !== document.documentElement && element.tabIndex < 0 && !element.querySelector("a, button, input")) {
      lacking("scrollable-region-focusable", element);
    }
  }
  for (const target of all("a[href], button, summary, label").filter(seen)) {
    const { width, height } = target.getBoundingClientRect();
    const inSentence = target.closest("p, li.text") && getComputedStyle(target).display === "inline";
    if (!inSentence && !target.matches(".skip:not(:focus)") && (width < 24 || height < 24)) lacking("target-size", target, `${width} x ${height}`);
  }

  // contrast of text, with what is translucent laid over what is behind it
  const numbers = text => (text.match(/[\d.]+/g) ?? []).map(Number);
  const over = ([r, g, b, a = 1], back) => [r, g, b].map((value, place) => value * a + back[place] * (1 - a));
  const light = colour => colour.map(value => value / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, value, place) => sum + value * [0.2126, 0.7152, 0.0722][place], 0);
  const behind = element => {
    if (!element) return matchMedia("(prefers-color-scheme: dark)").matches ? [18, 18, 18] : [255, 255, 255];
    const own = numbers(getComputedStyle(element).backgroundColor);
    return (own[3] ?? 1) === 1 && own.length ? own.slice(0, 3) : over(own.length ? own : [0, 0, 0, 0], behind(element.parentElement));
  };
  for (const element of all("body *").filter(seen)) {
    if (![...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim())) continue;
    const style = getComputedStyle(element), back = behind(element), size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const [more, less] = [light(over(numbers(style.color), back)), light(back)].sort((a, b) => b - a);
    const ratio = (more + 0.05) / (less + 0.05);
    if (ratio < (large ? 3 : 4.5)) lacking("color-contrast", element, ratio.toFixed(2));
  }
  return found;
}
