// Elements are built, never read from text: whatever a name or a certificate says stays text.

const SVG = "http://www.w3.org/2000/svg";

// `el("p.hint", { id: "x" }, "text", [el("b", "more")])`: attributes may be left out, an attribute that is a function
// listens to the event of its name, and children that are null or false are none.
function el(name, ...parts) {
  const [tag, ...classes] = name.split(".");
  return dressed(document.createElement(tag), classes, parts);
}

// The same for pictures.
function drawn(name, ...parts) {
  const [tag, ...classes] = name.split(".");
  return dressed(document.createElementNS(SVG, tag), classes, parts);
}

function dressed(element, classes, parts) {
  const described = parts.length > 0 && Object.getPrototypeOf(parts[0] ?? "") === Object.prototype;
  const [attributes, children] = described ? [parts[0], parts.slice(1)] : [{}, parts];
  element.classList.add(...classes);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => (child ?? false) !== false));
  return element;
}

const at = (id) => document.getElementById(id);

// Puts new content where the old was, unless it is the same. Whoever stands in it with the keyboard keeps standing on
// the element of the same `data-key`, or on the section's heading where that is gone; what was unfolded stays so, and a
// table stays scrolled to where it was.
const contents = new WeakMap();
function fill(place, said, build) {
  const now = JSON.stringify(said);
  if (contents.get(place) === now) return;
  contents.set(place, now);
  const stood = place.contains(document.activeElement) ? document.activeElement : null;
  const keyed = (selector) => new Map([...place.querySelectorAll(selector)].map((each) => [each.dataset.key, each]));
  const before = { details: keyed("details[data-key]"), scrolled: keyed(".scrolled[data-key]") };
  place.replaceChildren(...[build()].flat(Infinity).filter(Boolean));
  for (const [name, each] of keyed("details[data-key]")) each.open ||= before.details.get(name)?.open ?? false;
  for (const [name, each] of keyed(".scrolled[data-key]")) each.scrollLeft = before.scrolled.get(name)?.scrollLeft ?? 0;
  if (stood === null) return;
  const same = stood.dataset.key && place.querySelector(`[data-key="${CSS.escape(stood.dataset.key)}"]`);
  (same || place.closest("section")?.querySelector("h2"))?.focus({ preventScroll: true });
}

// What has just been done, for those who see and those who hear the page; `unseen` where it is to be read elsewhere.
// One does not take the other's place: neither eye nor voice would keep up.
function say(text, { unseen = false } = {}) {
  const told = el("p", { class: unseen ? "unseen" : null }, text);
  at("said").append(told);
  setTimeout(() => told.remove(), 20_000);
}

// A table; `label` names it to those who cannot see where it stands. It scrolls within itself, by keyboard too.
function table(label, heads, rows) {
  const head = heads.map((each) => (typeof each === "string" ? { name: each } : each));
  const looks = (column) => (column.number ? "number" : column.wide ? "wide" : null);
  const cell = (content, place) =>
    place ? el("td", { class: looks(head[place]) }, content) : el("th", { scope: "row" }, content);
  return el(
    "div.scrolled",
    { role: "region", "aria-label": label, tabindex: "0", "data-key": `table ${label}` },
    el(
      "table",
      el(
        "thead",
        el(
          "tr",
          head.map((each) => el("th", { scope: "col", class: looks(each) }, each.name)),
        ),
      ),
      el(
        "tbody",
        rows.map((row) => el("tr", row.map(cell))),
      ),
    ),
  );
}

const facts = (pairs) =>
  el(
    "dl.facts",
    pairs.map(([name, value]) => el("div", el("dt", name), el("dd", value))),
  );

// Text with `commands` in it.
const marked = (text) => text.split("`").map((part, index) => (index % 2 ? el("code", part) : part));

// A share as a bar, which is no more than a picture: the numbers stand beside it.
function bar(part, whole, kind = "") {
  const width = `${whole ? (100 * part) / whole : 0}%`;
  return drawn(
    "svg",
    { class: `share ${kind}`, "aria-hidden": "true", width: "100%", height: "8" },
    drawn("rect.whole", { width: "100%", height: "8", rx: "2" }),
    drawn("rect.part", { width, height: "8", rx: "2" }),
  );
}
