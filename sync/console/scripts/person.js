// All about one person: why can nobody encrypt to them?

let asked = null;

// Opens the panel, and keeps in the address who was asked for, so that it can be opened again, sent on, gone back from.
function open(who) {
  const hash = `#explain=${encodeURIComponent(who)}`;
  if (location.hash !== hash) history.pushState(null, "", hash);
  return explain(who);
}

function hide() {
  asked = null;
  at("person").hidden = true;
}

function close() {
  hide();
  if (location.hash.startsWith("#explain=")) history.pushState(null, "", location.pathname + location.search);
  at("who").focus();
}

// Whom the address names; going back to where nobody was asked for closes the panel.
function byAddress() {
  if (location.hash === "" && asked !== null) hide();
  if (!location.hash.startsWith("#explain=")) return;
  let who = location.hash.slice("#explain=".length);
  try {
    who = decodeURIComponent(who);
  } catch {
    // Whatever stands there is asked for as it is: the app says that it knows nobody of that name.
  }
  if (who) explain(who);
}

async function explain(who) {
  asked = who;
  const place = at("person-told");
  at("who").value = who;
  at("person").hidden = false;
  at("person-title").textContent = who;
  fill(place, ["looking", who], () => el("p.empty", "Looking …"));
  at("person-title").focus();
  try {
    const told = await ask("explain", { query: { user: who } });
    if (asked !== who) return; // somebody else was asked for meanwhile
    fill(place, told, () => personOf(told));
    say(told.answer, { unseen: true });
  } catch (trouble) {
    if (asked === who) show(place, trouble, () => explain(who));
  }
}

function personOf(told) {
  const { directory, recipient, last } = told;
  return [
    el("p.answer", sign(healthOf(told)), el("span", told.answer)),
    told.trouble &&
      el("p.hint", reason(told.trouble.code), " ", HINTS[told.trouble.code] && marked(HINTS[told.trouble.code])),
    facts(
      [
        ["ImmutableId", el("code", told.anchor)],
        ["Addresses", (recipient?.addresses ?? directory?.addresses ?? []).join(", ") || "–"],
        ["Who owns the attribute", recipient ? (OWNERS[recipient.owner] ?? recipient.owner) : "no recipient was found"],
        ["Recipient", recipient && recipient.kind],
        ["Account", directory && (directory.deleted ? "deleted" : directory.enabled ? "enabled" : "disabled")],
        [
          "Last event",
          last
            ? [STATUSES[last.status] ?? last.status, ", ", time(last.at), ` (${last.cause ?? "unknown cause"})`]
            : "none yet",
        ],
        ["Because", last?.reason && [reason(last.reason), " ", last.detail]],
        ["Note", last && !last.reason && last.detail],
      ].filter(([, value]) => value),
    ),
    el("h3", "What happens next"),
    el(
      "ul.next",
      told.next.map((each) => el("li", marked(each))),
    ),
    el("h3", "In Active Directory", directory && el("small", " as last seen ", time(directory.seen))),
    directory ? judgedOf(directory) : el("p.empty", "The directory has shown nothing of this person yet."),
    el(
      "h3",
      "In Exchange Online",
      el("small", recipient?.unverified ? " as remembered: this tenant does not show it" : " now"),
    ),
    recipient
      ? heldOf(told)
      : el("p.empty", told.trouble ? "It could not be asked." : "No recipient answers to these addresses."),
    told.clients.length ? clientsOf(told) : null,
  ];
}

function healthOf({ trouble, outlook }) {
  if (trouble || outlook?.shadowed.length) return "warning";
  return outlook?.takes.length ? "ok" : "critical";
}

// Published ones first; what was refused for the same reasons stands together, for people renew for sixteen years.
function judgedOf(directory) {
  const values = [...directory.values].sort((one, other) => (other.published.length > 0) - (one.published.length > 0));
  const groups = new Map();
  for (const value of values) {
    const key = JSON.stringify([value.attribute, value.published, value.findings.map((each) => each.code)]);
    groups.set(key, [...(groups.get(key) ?? []), value]);
  }
  const shown = [...groups.values()].map((alike) =>
    alike.length < 3
      ? alike.map(valueOf)
      : [
          valueOf(alike[0]),
          el(
            "details",
            { "data-key": `alike ${alike[0].value}` },
            el("summary", `${number(alike.length - 1)} more of the same verdict`),
            alike.slice(1).map(valueOf),
          ),
        ],
  );
  return [
    directory.findings.length ? el("ul.findings", directory.findings.map(findingOf)) : null,
    values.length ? el("div.values", shown) : el("p.empty", "The account holds no certificate."),
  ];
}

function valueOf(value) {
  const published = value.published.length > 0;
  return el(
    "article",
    { class: `value ${published ? "ok" : "refused"}` },
    el(
      "h4",
      sign(published ? "ok" : "critical"),
      published ? `Published in ${value.published.join(" and ")}` : "Not published",
      el("small", ` from ${value.attribute}`),
    ),
    certificateOf(value.certificate, value.value),
    value.findings.length ? el("ul.findings", value.findings.map(findingOf)) : null,
  );
}

function certificateOf(certificate, mark) {
  if (!certificate)
    return facts([
      ["Value", short(mark)],
      ["Certificate", "cannot be read"],
    ]);
  return facts([
    ["Certificate", short(certificate.fingerprint)],
    ["Issuer", common(certificate.issuer)],
    ["Valid", [time(certificate.notBefore, DAY), " – ", time(certificate.notAfter, DAY)]],
    ["Key", certificate.key],
    ["For", certificate.addresses.join(", ") || "no address"],
  ]);
}

const LEVELS = { refuse: "refused", warn: "warning", note: "note" };

function findingOf(finding) {
  return el(
    "li",
    el(
      "p",
      el("span", { class: `level ${finding.level}` }, LEVELS[finding.level] ?? finding.level),
      " ",
      linked(finding.code, "findings.md"),
      " ",
      finding.meaning,
    ),
    finding.detail && el("p.hint", finding.detail),
    el("p.remedy", finding.remedy),
  );
}

// Each client, what it would take, how sure that is and who says so.
function clientsOf({ clients }) {
  const rows = clients.map((each) => [
    each.name,
    each.takes.length ? each.takes.map((mark, index) => [index > 0 && " or ", short(mark)]) : "nothing",
    each.takes.length ? (SURENESS[each.sure] ?? each.sure) : "–",
    each.looks,
    each.needs ? marked(each.needs) : "–",
    each.source,
  ]);
  const wide = (name) => ({ name, wide: true });
  const heads = ["Client", "Encrypts to", "How sure", wide("Where it looks"), wide("What it needs"), wide("Source")];
  return [el("h3", "What clients take"), table("What clients take", heads, rows)];
}

function heldOf({ recipient, outlook }) {
  if (!recipient.values.length) return el("p.empty", "The recipient holds no certificate: nobody can encrypt to them.");
  const takes = new Set(outlook?.takes);
  const shadowed = new Set(outlook?.shadowed);
  const rows = recipient.values.map((each) => {
    const mark = each.certificate?.fingerprint;
    return [
      each.attribute,
      short(mark ?? each.value),
      each.certificate ? common(each.certificate.issuer) : "cannot be read",
      each.certificate ? time(each.certificate.notAfter, DAY) : "–",
      each.ours ? "published by us" : "somebody else's: kept",
      each.attribute === outlook?.attribute && takes.has(mark) ? "yes" : shadowed.has(mark) ? "no: shadowed" : "no",
    ];
  });
  return table(
    "Certificates in Exchange Online",
    ["Attribute", "Certificate", "Issuer", "Valid until", "Whose", "Outlook takes it"],
    rows,
  );
}
