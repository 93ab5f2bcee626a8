// What failed, by reason, and its replay: shown first, confirmed, done.

const LISTED = 100;
const unfolded = new Map(); // reason → its failures, once somebody has asked for them

function failuresOf(status) {
  const reasons = Object.entries(status.failed).sort(([, one], [, other]) => other - one);
  if (!reasons.length) return el("p.empty", "Nothing failed, or all of it was replayed.");
  return reasons.map(([code, count]) => {
    const list = unfolded.get(code);
    const id = `failed-${code}`;
    return el(
      "article.failure",
      el(
        "header",
        el(
          "div",
          el("h3", reason(code), " ", el("span.count", counted(count, "message"))),
          HINTS[code] && el("p.hint", marked(HINTS[code])),
        ),
        el(
          "div.row",
          el(
            "button",
            {
              type: "button",
              "data-key": `show ${code}`,
              "aria-expanded": String(list !== undefined),
              "aria-controls": id,
              click: () => unfold(code),
            },
            list ? "Hide messages" : "Show messages",
          ),
          el(
            "button",
            { type: "button", "data-key": `replay ${code}`, click: () => replay({ reason: code }, `Replay ${code}`) },
            "Replay …",
          ),
        ),
      ),
      el(
        "div",
        { id },
        list instanceof Trouble ? troubled(list, () => unfold(code, true)) : list && listOf(code, list),
      ),
    );
  });
}

function listOf(code, { failed, limit }) {
  if (!failed.length) return el("p.empty", "None any more.");
  const rows = failed.map((each) => [
    time(each.at),
    each.anchor
      ? el(
          "button",
          { type: "button", class: "link", "data-key": `who ${each.id}`, click: () => open(each.anchor) },
          each.anchor,
        )
      : "–",
    each.detail || "–",
    number(each.dequeueCount),
    el(
      "button",
      {
        type: "button",
        "data-key": `one ${each.id}`,
        "aria-label": `Replay the message of ${utc(each.at)} …`,
        click: () => replay({ message: each.id }, "Replay one message"),
      },
      "Replay …",
    ),
  ]);
  return [
    table(
      `Messages that failed: ${code}`,
      ["Failed", "Person", { name: "Detail", wide: true }, { name: "Deliveries", number: true }, "Action"],
      rows,
    ),
    failed.length === limit && el("p.hint", `The oldest ${number(limit)} are shown.`),
  ].filter(Boolean);
}

async function unfold(code, again = false) {
  if (unfolded.has(code) && !again) unfolded.delete(code);
  else unfolded.set(code, await ask("failed", { query: { reason: code, limit: LISTED } }).catch(told));
  showFailures();
}

// A trouble is shown where the answer would be; anything else is a defect.
function told(error) {
  if (error instanceof Trouble) return error;
  throw error;
}

async function replay(choice, title) {
  const rate = el(
    "select",
    { id: "rate" },
    [
      ["", "at once"],
      ["5/s", "5 a second"],
      ["1/s", "1 a second"],
    ].map(([value, name]) => el("option", { value }, name)),
  );
  const dry = () => ask("replay", { body: choice });
  const act = () => ask("replay", { body: { ...choice, apply: true, ...(rate.value ? { rate: rate.value } : {}) } });
  const plan = ({ chosen, limit }) => {
    const people = new Set(chosen.map((each) => each.anchor)).size;
    if (!chosen.length) return { content: el("p", "Nothing is left to replay."), possible: false };
    return {
      possible: true,
      content: [
        el(
          "p",
          el("strong", counted(chosen.length, "message")),
          ` of ${counted(people, "person", "people")} would go back on the change queue. `,
          "None undoes a newer state: an event that was overtaken is recognised and dropped.",
        ),
        chosen.length === limit && el("p.hint", `These are the first ${number(limit)}; replay again for the rest.`),
        chosen.length > 1 && el("p.row", el("label", { for: "rate" }, "Put them back"), rate),
        table(
          "What would be replayed",
          ["Failed", "Person", { name: "Detail", wide: true }],
          chosen.slice(0, 50).map((each) => [time(each.at), each.anchor ?? "–", each.detail || "–"]),
        ),
        chosen.length > 50 && el("p.hint", `… and ${number(chosen.length - 50)} more.`),
      ].filter(Boolean),
    };
  };
  const done = ({ chosen }) => `${counted(chosen.length, "message")} went back on the change queue.`;
  if (!(await confirmed({ title, button: "Put back", dry, plan, act, done }))) return;
  for (const code of unfolded.keys())
    unfolded.set(code, await ask("failed", { query: { reason: code, limit: LISTED } }).catch(told));
  await look();
  showFailures();
}
