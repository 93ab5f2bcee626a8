// Elements are built, never read from text: whatever a name or a certificate says stays text.

const SVG = "http://www.w3.org/2000/svg";

function el(tag, attributes = {}, ...children) {
  return dressed(document.createElement(tag), attributes, children);
}

function drawn(tag, attributes = {}, ...children) {
  return dressed(document.createElementNS(SVG, tag), attributes, children);
}

function dressed(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const at = (id) => document.getElementById(id);

// Puts new content where the old was, unless it is the same. Whoever stands in it with the keyboard keeps standing on
// the element of the same `data-key`, and what was unfolded stays so.
const contents = new WeakMap();
function fill(place, said, build) {
  const now = JSON.stringify(said);
  if (contents.get(place) === now) return;
  contents.set(place, now);
  const key = place.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  const open = new Set([...place.querySelectorAll("details[open][data-key]")].map((each) => each.dataset.key));
  place.replaceChildren(...[build()].flat());
  for (const each of place.querySelectorAll("details[data-key]")) each.open ||= open.has(each.dataset.key);
  if (key !== undefined) place.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
}

// For those who hear the page: what has just happened.
function say(text) {
  at("said").textContent = text;
}
