// Who is covered, and which published certificates expire when, by issuer.

const SERIES = 5;
const WEEKS = 26;
const MONTH = new Intl.DateTimeFormat(undefined, { month: "short", timeZone: "UTC" });
const WEEK = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeZone: "UTC" });

function coverageOf({ summary }) {
  const title = el("h3", {}, "Coverage");
  if (!summary) return [title, el("p", { class: "empty" }, "Everybody is counted once a day; ", el("code", {}, "smime-sync status --count"), " counts now.")];
  const statuses = Object.entries(summary.statuses).sort(([, one], [, other]) => other - one);
  return [
    title,
    el("p", { class: "figure" }, el("strong", {}, percent(summary.covered, summary.people)), `${number(summary.covered)} of ${counted(summary.people, "person", "people")} can receive encrypted mail`),
    bar(summary.covered, summary.people, "ok"),
    el("h4", {}, "How their last events ended"),
    el(
      "ul",
      { class: "bars" },
      statuses.map(([status, count]) => el("li", {}, el("span", {}, STATUSES[status] ?? status), el("span", { class: "number" }, number(count)), bar(count, summary.people, status === "failed" ? "critical" : ""))),
    ),
    el("p", { class: "hint" }, "Counted ", time(summary.at), summary.unknown ? `; ${counted(summary.unknown, "person", "people")} not judged yet by this release` : ""),
  ];
}

// Weeks from this one on, each with its counts by issuer; the largest issuers have a colour of their own.
function forecast({ summary, issuers, at: now }) {
  const totals = {};
  for (const counts of Object.values(summary.expiring)) for (const [mark, count] of Object.entries(counts)) totals[mark] = (totals[mark] ?? 0) + count;
  const marks = Object.keys(totals).sort((one, other) => totals[other] - totals[one]);
  const named = (mark) => (mark === "" ? "others" : (issuers[mark] ?? `unknown CA ${mark}`));
  const series = marks.slice(0, SERIES).map((mark) => ({ name: common(named(mark)), count: totals[mark], of: (counts) => counts[mark] ?? 0 }));
  const rest = marks.slice(SERIES);
  if (rest.length) {
    const sum = (counts) => rest.reduce((added, mark) => added + (counts[mark] ?? 0), 0);
    series.push({ name: counted(rest.length, "other issuer"), count: sum(totals), of: sum });
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
  const title = el("h3", {}, "Published certificates that expire, by week");
  if (!status.summary) return [title, el("p", { class: "empty" }, "Not counted yet.")];
  const { series, weeks } = forecast(status);
  if (!series.length) return [title, el("p", { class: "empty" }, `None expires in the next ${WEEKS} weeks.`)];
  const heads = ["Week of", ...series.map((each) => ({ name: each.name, number: true })), { name: "All", number: true }];
  const sum = (counts) => counts.reduce((added, each) => added + each, 0);
  const rows = weeks.filter((week) => sum(week.counts)).map((week) => [WEEK.format(week.day), ...week.counts.map(number), number(sum(week.counts))]);
  return [
    title,
    chart(weeks, series, width),
    el("ul", { class: "legend" }, series.map((each, index) => el("li", {}, swatch(index), each.name, " ", el("span", { class: "number" }, number(each.count))))),
    el("details", { "data-key": "expiry" }, el("summary", {}, "The same as a table"), table("Certificates that expire, by week and issuer", heads, rows)),
  ];
}

const swatch = (index) => drawn("svg", { class: "swatch", viewBox: "0 0 10 10", "aria-hidden": "true" }, drawn("rect", { class: `series-${index}`, width: "10", height: "10", rx: "2" }));

// The next round number, so that few lines divide the height: 1, 2 or 5 times a power of ten, four steps at most.
function scale(most) {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, most / 4)));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each * 4 >= most);
  return { step, top: Math.max(step, Math.ceil(most / step) * step) };
}

function chart(weeks, series, width) {
  const [left, right, top, bottom, height] = [36, 4, 8, 24, 208];
  const sums = weeks.map((week) => week.counts.reduce((added, each) => added + each, 0));
  const { step, top: most } = scale(Math.max(...sums));
  const y = (count) => height - bottom - ((height - top - bottom) * count) / most;
  const pitch = (width - left - right) / weeks.length;
  const lines = Array.from({ length: Math.round(most / step) + 1 }, (_, index) => index * step);
  const grid = lines.map((count) => [
    drawn("line", { class: count ? "grid" : "axis", x1: left, x2: width - right, y1: y(count), y2: y(count) }),
    drawn("text", { x: left - 8, y: y(count) + 4, "text-anchor": "end" }, number(count)),
  ]);
  const bars = weeks.map((week, place) => {
    let below = 0;
    const parts = week.counts.map((count, index) => {
      const from = below;
      below += count;
      return count && drawn("rect", { class: `series-${index}`, x: left + place * pitch + pitch * 0.14, width: pitch * 0.72, y: y(below), height: y(from) - y(below) });
    });
    const told = series.filter((_, index) => week.counts[index]).map((each) => `${each.name}: ${number(each.of === undefined ? 0 : week.counts[series.indexOf(each)])}`);
    return drawn("g", {}, drawn("title", {}, [`Week of ${WEEK.format(week.day)}`, ...told].join("\n")), drawn("rect", { class: "hit", x: left + place * pitch, width: pitch, y: top, height: height - top - bottom }), parts.filter(Boolean));
  });
  // A month is named where its first whole week begins.
  const months = weeks.map((week, place) => week.day.getUTCDate() <= 7 && drawn("text", { x: left + place * pitch + pitch / 2, y: height - 6, "text-anchor": "middle" }, MONTH.format(week.day)));
  const busiest = sums.indexOf(Math.max(...sums));
  const told = `${counted(sums.reduce((added, each) => added + each, 0), "published certificate")} expire in ${WEEKS} weeks, most of them in the week of ${WEEK.format(weeks[busiest].day)}: ${number(sums[busiest])}. The table below has them all.`;
  return drawn("svg", { class: "chart", role: "img", "aria-label": told, width, height, viewBox: `0 0 ${width} ${height}` }, grid.flat(), bars, months.filter(Boolean));
}
