// How it stands: the state with its reasons, the numbers, the agents.

const HEALTH = { ok: "All well", warning: "Warning", critical: "Critical" };

function stateOf(status) {
  return [
    el(
      "div",
      { class: `state ${status.health}` },
      el("p", { class: "word" }, HEALTH[status.health] ?? status.health),
      status.concerns.length
        ? el("ul", {}, status.concerns.map((each) => el("li", { class: each.health }, each.text)))
        : el("p", {}, "Nothing asks for your attention."),
    ),
    el("dl", { class: "tiles" }, tilesOf(status)),
  ];
}

function tilesOf(status) {
  const { summary, latency, queue, failed, run, writesBookedUntil } = status;
  const ahead = writesBookedUntil ? between(status.at, writesBookedUntil) : 0;
  const failures = total(failed);
  return [
    summary
      ? tile("Coverage", share(summary.covered, summary.people), `${number(summary.covered)} of ${counted(summary.people, "person", "people")}`)
      : tile("Coverage", "–", "not counted yet"),
    latency
      ? tile("Change to write", span(latency.p50), `p99 ${span(latency.p99)}, ${counted(latency.writes, "write", "writes")} in a day`)
      : tile("Change to write", "–", "no write in the last day"),
    tile("Change queue", number(queue.messages), queue.oldest ? ["oldest from ", time(queue.oldest)] : "nothing waits"),
    tile("Failed", failures >= 1000 ? "1000+" : number(failures), failures ? counted(Object.keys(failed).length, "reason", "reasons") : "none"),
    tile("Throttling", ahead > 0 ? span(ahead) : "none", ahead > 0 ? "until the next free turn" : "writes have their turn at once"),
    run ? tile("Reconciliation", run.phase, time(run.ended ?? run.began)) : tile("Reconciliation", "–", "none yet"),
  ];
}

function tile(label, value, detail) {
  return el("div", { class: "tile" }, el("dt", {}, label), el("dd", { class: "value" }, value), el("dd", { class: "detail" }, detail));
}

const share = (part, whole) => (whole ? `${((100 * part) / whole).toFixed(1)} %` : "–");

function agentsOf(status) {
  const agents = Object.entries(status.agents);
  if (!agents.length) return el("p", { class: "empty" }, "No agent has been heard of.");
  const row = ([source, beat]) =>
    el(
      "tr",
      {},
      el("th", { scope: "row" }, beat.source ?? source),
      el("td", {}, ago(beat.at, status.at)),
      el("td", { class: "number" }, number(beat.people ?? 0)),
      el("td", { class: "number" }, number(beat.holding ?? 0)),
      el("td", { class: "number" }, number(beat.waiting ?? 0)),
      el("td", {}, beat.version ?? "–"),
    );
  const names = ["Agent", "Heard", "People", "With certificates", "Waiting", "Release"];
  return scrolled(
    "Agents",
    el("table", {}, el("thead", {}, el("tr", {}, names.map((name) => el("th", { scope: "col" }, name)))), el("tbody", {}, agents.map(row))),
  );
}

// A wide table scrolls within itself, by keyboard too.
function scrolled(label, table) {
  return el("div", { class: "scrolled", role: "region", "aria-label": label, tabindex: "0", "data-key": `scroll ${label}` }, table);
}
