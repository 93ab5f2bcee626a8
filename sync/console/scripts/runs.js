// Reconciliation: the run at work, those before it, the one that waits for an administrator, and the live guard.

const STEPS = {
  full: ["read", "compare", "examine", "send"],
  scope: ["sift", "examine", "send"],
  due: ["due", "lists", "examine", "send"],
};
const OVER = new Set(["done", "guarded", "failed", "abandoned"]);

function runsOf({ current, past }, now) {
  const rows = [];
  if (current && !OVER.has(current.phase)) rows.push(atWork(current, now));
  const waiting = past.find((each) => each.guarded);
  if (waiting) rows.push(guardedOf(waiting));
  if (past.length) rows.push(pastOf(past));
  return rows.length
    ? rows
    : el(
        "p.empty",
        "No run yet. The timer begins one each night; ",
        el("code", "smime-sync reconcile"),
        " shows what it would find.",
      );
}

function atWork(run, now) {
  // The directory is read only where the function reaches it: then the run begins so, and names its list afterwards.
  const steps = [...(run.phase === "directory" || run.listing ? ["directory"] : []), ...(STEPS[run.kind] ?? [])];
  const here = steps.indexOf(run.phase);
  const { counts } = run;
  return el(
    "article.run",
    el("h3", "At work", el("small", ` ${(KINDS[run.kind] ?? run.kind).toLowerCase()}, begun ${ago(run.began, now)}`)),
    el(
      "ol.steps",
      steps.map((step, index) =>
        el("li", { class: index < here ? "past" : null, "aria-current": index === here ? "step" : null }, PHASES[step]),
      ),
    ),
    facts([
      ["Recipients read", number(counts.recipients)],
      ["People compared", number(counts.people)],
      ["Examined", `${number(counts.examined)} of ${number(counts.suspects)}`],
      ["Differ", number(counts.differing)],
      ["Sent again", number(counts.sent)],
    ]),
    notesOf(run),
  );
}

const notesOf = (run) =>
  run.notes.length
    ? el(
        "ul.hint",
        run.notes.map((note) => el("li", marked(note))),
      )
    : null;

function guardedOf(run) {
  return el(
    "article.run.waiting",
    el("h3", sign("critical"), "A run stopped at its limits and waits for you"),
    el(
      "p",
      consequence(run.counts),
      " Nothing was done yet. Look first: a wrong trust store, or a directory that shows nobody, looks like this.",
    ),
    facts([
      ["Run", el("code", run.id)],
      ["Begun", time(run.began)],
      ["People compared", number(run.counts.people)],
      ["With certificates of ours", number(run.counts.holding)],
    ]),
    notesOf(run),
    el(
      "div.row",
      el(
        "button",
        { type: "button", class: "danger", "data-key": `approve ${run.id}`, click: () => approve(run) },
        "Approve …",
      ),
    ),
  );
}

function pastOf(past) {
  const heads = [
    "Begun",
    "Looked for",
    "Ended",
    { name: "Compared", number: true },
    { name: "Differ", number: true },
    { name: "Sent again", number: true },
    { name: "Asked of the agent", number: true },
    "Took",
    { name: "Notes", wide: true },
  ];
  const rows = past.map((run) => [
    time(run.began),
    [KINDS[run.kind] ?? run.kind, run.scope ? `: ${run.scope}` : "", run.apply ? "" : " (dry)"],
    el("span", { class: `phase ${run.phase}` }, PHASES[run.phase] ?? run.phase),
    number(run.counts.people),
    number(run.counts.differing),
    number(run.counts.sent),
    number(run.counts.asked),
    run.ended ? span(between(run.began, run.ended)) : "–",
    run.notes.join("; ") || "–",
  ]);
  return [el("h3", "Runs before"), table("Runs before", heads, rows)];
}

function consequence({ differing, losing, gone, gone_holding: goneHolding }) {
  const lose = losing + goneHolding;
  const told = lose
    ? `${number(lose)} would lose the last certificate that we published: nobody could encrypt to them.`
    : "None would lose the last certificate that we published.";
  return `It would change ${counted(differing + gone, "person", "people")}. ${told}`;
}

// Between reconciliations a limit by the hour stands before everybody's last certificate.
function guardOf({ recent, limit, openUntil }) {
  const full = recent.length >= limit && !openUntil;
  return el(
    "article.panel.guard",
    el(
      "div",
      el(
        "h3",
        "Guard",
        openUntil
          ? el("small", " open until ", time(openUntil, CLOCK))
          : el("small", full ? marked(" full: whoever would lose theirs now waits as failed, `guarded`") : " shut"),
      ),
      el(
        "p.hint",
        `${number(recent.length)} of at most ${number(limit)} people lost the last certificate of ours `,
        "within the hour, between reconciliations.",
      ),
    ),
    openUntil
      ? el("button", { type: "button", "data-key": "guard", click: () => guard(0) }, "Shut …")
      : el("button", { type: "button", "data-key": "guard", click: () => guard(60) }, "Open for an hour …"),
  );
}

async function guard(minutes) {
  const dry = () => ask("open-guard", { body: { minutes } });
  const act = () => ask("open-guard", { body: { minutes, apply: true } });
  const plan = ({ openUntil, limit }) => ({
    possible: true,
    content: openUntil
      ? el(
          "p",
          "Until ",
          time(openUntil, CLOCK),
          " any number of people may lose their last certificate. ",
          "Open it only when you know why they do, as when a department leaves.",
        )
      : el("p", `From now on at most ${counted(limit, "person", "people")} an hour lose theirs.`),
  });
  const done = ({ openUntil }) =>
    openUntil ? `The guard is open until ${CLOCK.format(new Date(openUntil))}.` : "The guard is shut.";
  const title = minutes ? "Open the guard for an hour" : "Shut the guard";
  if (await confirmed({ title, button: minutes ? "Open it" : "Shut it", dry, plan, act, done })) await look();
}

async function approve(run) {
  const dry = () => ask("approve", { body: { run: run.id, apply: false } });
  const act = () => ask("approve", { body: { run: run.id, apply: true } });
  const plan = ({ run: told }) => ({
    possible: true,
    content: [
      el("p", el("strong", consequence(told.counts))),
      el("p", "It is looked at again, and does what it found then, no more; whatever would be more stops it anew."),
    ],
  });
  const done = ({ applied }) =>
    applied ? "The approved run has begun." : "The run has begun; in report mode it changes nothing.";
  if (await confirmed({ title: "Approve the guarded run", button: "Approve and begin", dry, plan, act, done }))
    await refresh();
}
