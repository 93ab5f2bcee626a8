// How it stands: the state with its reasons, the numbers, the agents.

const HEALTH = { ok: "All well", warning: "Look at this", critical: "Act now" };
const SIGNS = {
  ok: ["M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1z", "M4.8 8.3l2.2 2.2 4.2-4.6"],
  warning: ["M8 1.5l7 12.5H1z", "M8 6v4M8 11.6v.9"],
  critical: ["M5 1h6l4 4v6l-4 4H5l-4-4V5z", "M5.5 5.5l5 5M10.5 5.5l-5 5"],
};

// Told by shape and by word, never by colour alone.
function sign(health) {
  const [shape, mark] = SIGNS[health] ?? SIGNS.warning;
  return drawn(
    "svg",
    { class: `sign ${health}`, viewBox: "0 0 16 16", "aria-hidden": "true" },
    drawn("path.shape", { d: shape }),
    drawn("path.stroke", { d: mark }),
  );
}

function stateOf(status) {
  const concerns = status.concerns.map((each) =>
    el("li", sign(each.health), el("span.unseen", `${each.health}: `), el("span", marked(sentence(each.text)))),
  );
  return [
    el(
      "div",
      { class: `panel state ${status.health}` },
      el("p.word", sign(status.health), HEALTH[status.health] ?? status.health),
      concerns.length ? el("ul.concerns", concerns) : el("p.hint", "Nothing asks for your attention."),
    ),
    el("dl.tiles", tilesOf(status)),
  ];
}

function tilesOf(status) {
  const { summary, latency, canary, queue, failed } = status;
  const failures = total(failed);
  return [
    tile(
      "Coverage",
      summary ? percent(summary.covered, summary.people) : "–",
      summary ? `${number(summary.covered)} of ${counted(summary.people, "person", "people")}` : "not counted yet",
    ),
    tile(
      "Change to write",
      latency ? span(latency.p50) : "–",
      latency
        ? [
            `p99 ${span(latency.p99)}, ${counted(latency.writes, "write")}`,
            between(latency.since, status.at) < 82_800 ? [" since ", time(latency.since, CLOCK)] : " in a day",
          ]
        : "no change written in a day",
    ),
    canary && tile("Canary", canary.lastWritten ? span(canary.lastSeconds) : "–", canaryOf(canary, status.at)),
    tile(
      "Change queue",
      number(queue.messages),
      queue.oldest ? `oldest waits ${span(Math.max(0, between(queue.oldest, status.at)))}` : "nothing waits",
    ),
    tile(
      "Failed",
      failures >= 1000 ? "1,000+" : number(failures),
      failures ? `for ${counted(Object.keys(failed).length, "reason")}` : "nothing waits for you",
    ),
    throttlingOf(status),
    reconciliationOf(status),
  ];
}

// Our own pace comes first: while turns are booked ahead, that is what a write waits for.
function throttlingOf({ writesBookedUntil, throttledLast, at: now }) {
  const ahead = writesBookedUntil ? between(now, writesBookedUntil) : 0;
  if (ahead > 0) return tile("Throttling", span(ahead), "until the next free turn to write");
  return tile(
    "Throttling",
    "None",
    throttledLast ? `by the tenant last ${ago(throttledLast, now)}` : "a write has its turn at once",
  );
}

function reconciliationOf({ run, reconciled, at: now }) {
  if (!run) return tile("Reconciliation", "–", "none yet");
  const told = `${KINDS[run.kind] ?? run.kind}, ${ago(run.ended ?? run.began, now)}`;
  const whole =
    reconciled && reconciled.id !== run.id && `; all of it ${ago(reconciled.ended ?? reconciled.began, now)}`;
  return tile("Reconciliation", PHASES[run.phase] ?? run.phase, [told, whole]);
}

function canaryOf({ lastWritten, withinLimit, limitSeconds }, now) {
  if (!lastWritten) return "never written yet";
  const told = ago(lastWritten, now);
  return withinLimit === null ? told : `${told}; ${percent(withinLimit, 1)} of a day within ${span(limitSeconds)}`;
}

const tile = (label, value, detail) =>
  el("div.panel.tile", el("dt", label), el("dd.amount", value), el("dd.detail", detail));

// The certificates by which the app itself signs in.
function ownOf({ certificates, at: now }) {
  const own = Object.entries(certificates ?? {});
  if (!own.length) return null;
  return [
    el("h3", "Certificates of the app itself"),
    table(
      "Certificates of the app itself",
      ["Certificate", "Valid until", "Which is"],
      own.map(([name, until]) => [
        name,
        time(until),
        between(now, until) > 0 ? `in ${span(between(now, until))}` : "over",
      ]),
    ),
  ];
}

function agentsOf(status) {
  return [heardOf(status), ownOf(status)];
}

// How far what the agent has read to its end lies behind its last word.
function behind(cursor) {
  if (!cursor) return "–";
  return cursor.lagSeconds === null ? "nothing read to its end yet" : span(cursor.lagSeconds);
}

function heardOf(status) {
  const agents = Object.entries(status.agents);
  if (!agents.length)
    return el(
      "p.empty",
      "No agent has been heard of. It says every minute that it is alive, once it may write to the work container.",
    );
  const rows = agents.map(([source, beat]) => [
    beat.source ?? source,
    [el("span", ago(beat.at, status.at)), " · ", time(beat.at)],
    beat.lastRound ? ago(beat.lastRound, status.at) : "–",
    behind(status.cursors?.[source]),
    number(beat.people),
    number(beat.holding),
    number(beat.waiting),
    beat.importing ? "full import" : beat.held ? `${number(beat.held)} held back` : "changes",
    beat.version ?? "–",
  ]);
  const heads = [
    "Agent",
    "Heard",
    "Last round",
    "Behind",
    { name: "People", number: true },
    { name: "With certificates", number: true },
    { name: "Waiting", number: true },
    "At work on",
    "Release",
  ];
  return table("Each agent, and when it was heard", heads, rows);
}
