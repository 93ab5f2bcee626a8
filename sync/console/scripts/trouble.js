// An error, shown so that somebody can act on it: what happened, its code, what to do, and a way to try again.

const HINTS = JSON.parse(at("hints").textContent);
let docs = "";

// The page of a code, where the app says where its documents are.
function linked(code, page) {
  if (!docs) return el("code", {}, code);
  const href = `${docs.replace(/\/$/, "")}/${page}#${code}`;
  return el("a", { href, rel: "noreferrer", target: "_blank" }, el("code", {}, code));
}

function troubled(trouble, again) {
  const wrongKey = trouble.status === 401 && trouble.code !== SIGNED_OUT.code;
  return el(
    "div",
    { class: "trouble", role: "alert" },
    el("p", {}, el("strong", {}, trouble.message), " ", linked(trouble.code, "errors.md")),
    trouble.hint && el("p", { class: "hint" }, trouble.hint),
    wrongKey && keyForm(again),
    !wrongKey && el("button", { type: "button", "data-key": "again", click: again }, "Try again"),
  );
}

function keyForm(again) {
  const field = el("input", { id: "key", type: "password", autocomplete: "off", required: true, "data-key": "key" });
  const use = (event) => {
    event.preventDefault();
    sessionStorage.setItem(KEPT, field.value.trim());
    again();
  };
  return el(
    "form",
    { class: "row", submit: use },
    el("label", { for: "key" }, "Function key"),
    field,
    el("button", { class: "primary" }, "Use it"),
  );
}
