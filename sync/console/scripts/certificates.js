// Who is covered, and which published certificates expire when, by issuer.

const SERIES = 5;
const WEEKS = 26;
const WEEK = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeZone: "UTC" });

function coverageOf({ summary }) {
  const title = el("h3", "Coverage");
  if (!summary) {
    return [title, el("p.empty", marked("Everybody is counted once a day; `smime-sync status --count` counts now."))];
  }
  const statuses = Object.entries(summary.statuses).sort(([, one], [, other]) => other - one);
  return [
    title,
    el(
      "p.figure",
      el("strong", percent(summary.covered, summary.people)),
      `${number(summary.covered)} of ${counted(summary.people, "person", "people")} can receive encrypted mail`,
    ),
    bar(summary.covered, summary.people, "ok"),
    el("h4", "How their last events ended"),
    el(
      "ul.bars",
      statuses.map(([status, count]) =>
        el(
          "li",
          el("span", STATUSES[status] ?? status),
          el("span.number", number(count)),
          bar(count, summary.people, status === "failed" ? "critical" : ""),
        ),
      ),
    ),
    el(
      "p.hint",
      "Counted ",
      time(summary.at),
      summary.unknown ? `; ${counted(summary.unknown, "person", "people")} not judged yet by this release` : "",
    ),
  ];
}

// Weeks from this one on, each with its counts by issuer; the largest issuers have a colour of their own.
function forecast({ summary, issuers, at: now }) {
  const totals = {};
  for (const [mark, count] of Object.values(summary.expiring).flatMap(Object.entries)) {
    totals[mark] = (totals[mark] ?? 0) + count;
  }
  const marks = Object.keys(totals).sort((one, other) => totals[other] - totals[one]);
  const named = (mark) => (mark === "" ? "others" : (issuers[mark] ?? `unknown CA ${mark}`));
  const series = marks
    .slice(0, SERIES)
    .map((mark) => ({ name: common(named(mark)), count: totals[mark], of: (counts) => counts[mark] ?? 0 }));
  const rest = marks.slice(SERIES);
  if (rest.length) {
    const of = (counts) => sum(rest.map((mark) => counts[mark] ?? 0));
    series.push({ name: counted(rest.length, "other issuer"), count: of(totals), of });
  }
  const today = new Date(now).setUTCHours(0, 0, 0, 0);
  const since = (new Date(today).getUTCDay() + 6) % 7; // days since Monday
  // So many weeks from today, of which the first and the last may be parts.
  const weeks = Array.from({ length: WEEKS + (since > 0) }, (_, index) => {
    const day = new Date(today + (index * 7 - since) * 86_400_000);
    const counts = summary.expiring[day.toISOString().slice(0, 10)] ?? {};
    return { day, counts: series.map((each) => each.of(counts)) };
  });
  return { series, weeks };
}

function expiryOf(status, width) {
  const title = el("h3", "Published certificates that expire, by week");
  if (!status.summary) return [title, el("p.empty", "Not counted yet.")];
  const { series, weeks } = forecast(status);
  if (!series.length) return [title, el("p.empty", `None expires in the next ${WEEKS} weeks.`)];
  const heads = [
    "Week of",
    ...series.map((each) => ({ name: each.name, number: true })),
    { name: "All", number: true },
  ];
  const rows = weeks
    .filter((week) => sum(week.counts))
    .map((week) => [WEEK.format(week.day), ...week.counts.map(number), number(sum(week.counts))]);
  return [
    title,
    chart(weeks, series, width),
    el(
      "ul.legend",
      series.map((each, index) => el("li", swatch(index), each.name, " ", el("span.number", number(each.count)))),
    ),
    el(
      "details",
      { "data-key": "expiry" },
      el("summary", "The same as a table"),
      table("Certificates that expire, by week and issuer", heads, rows),
    ),
  ];
}

const swatch = (index) =>
  drawn(
    "svg.swatch",
    { viewBox: "0 0 10 10", "aria-hidden": "true" },
    drawn("rect", { class: `series-${index}`, width: "10", height: "10", rx: "2" }),
  );
