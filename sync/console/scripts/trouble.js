// An error, shown so that somebody can act on it: what happened, its code, what to do, and a way to try again.

const HINTS = JSON.parse(at("hints").textContent);
let docs = "";

// A code, as a link to its page where the app says where its documents are.
function linked(code, page) {
  if (!/^https?:\/\//.test(docs)) return el("code", code);
  const href = `${docs.replace(/\/+$/, "")}/${page}#${encodeURIComponent(code)}`;
  return el("a", { href, rel: "noopener noreferrer", target: "_blank" }, el("code", code));
}

const reason = (code) => (code in HINTS ? linked(code, "errors.md") : el("code", code)); // the page's own have none

// Shows it in its place; a key that is missing or wrong concerns the whole page, and is asked for once.
function show(place, trouble, again) {
  if (!(trouble instanceof Trouble)) throw trouble;
  const keyless = trouble.status === 401 && trouble.code !== SIGNED_OUT.code;
  const where = keyless ? at("trouble") : place;
  fill(where, [trouble.status, trouble.code, trouble.message], () =>
    troubled(trouble, keyless ? refresh : again, keyless),
  );
}

function troubled(trouble, again, keyless) {
  return el(
    "div.trouble",
    { role: "alert" },
    el("p", el("strong", marked(sentence(trouble.message))), " ", reason(trouble.code)),
    trouble.hint && el("p.hint", marked(trouble.hint)),
    keyless ? keyForm(again) : el("button", { type: "button", "data-key": "again", click: again }, "Try again"),
  );
}

function keyForm(again) {
  const field = el("input", { id: "key", type: "password", autocomplete: "off", required: true, "data-key": "key" });
  const use = (event) => {
    event.preventDefault();
    sessionStorage.setItem(KEPT, field.value.trim());
    contents.delete(at("trouble")); // the same answer again is told again
    again();
  };
  return [
    el(
      "form.row",
      { submit: use },
      el("label", { for: "key" }, "Function key"),
      field,
      el("button.primary", "Use this key"),
    ),
    el(
      "p.hint",
      "Where you sign in with your own account instead: ",
      el(
        "button",
        { type: "button", class: "link", "data-key": "sign-in", click: () => location.reload() },
        "sign in again",
      ),
    ),
  ];
}
