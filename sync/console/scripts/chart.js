// Bars by week, one part for each issuer. The table beside it says the same.

const MONTH = new Intl.DateTimeFormat(undefined, { month: "short", timeZone: "UTC" });
const FRAME = { left: 36, right: 4, top: 8, bottom: 24, height: 208 };

// The next round number, so that few lines divide the height: 1, 2 or 5 times a power of ten, four steps at most.
function scale(most) {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, most / 4)));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each * 4 >= most);
  return { step, top: Math.max(step, Math.ceil(most / step) * step) };
}

// `weeks` have a day and counts in the order of `series`; `width` is in pixels, so that letters keep their size.
function chart(weeks, series, width) {
  const { left, right, top, bottom, height } = FRAME;
  const sums = weeks.map((week) => sum(week.counts));
  const { step, top: most } = scale(Math.max(...sums));
  const pitch = (width - left - right) / weeks.length;
  const x = (place) => left + place * pitch;
  const y = (count) => height - bottom - ((height - top - bottom) * count) / most;
  const lines = Array.from({ length: Math.round(most / step) + 1 }, (_, index) => index * step);
  const grid = lines.map((count) => [
    drawn("line", { class: count ? "grid" : "axis", x1: left, x2: width - right, y1: y(count), y2: y(count) }),
    drawn("text", { x: left - 8, y: y(count) + 4, "text-anchor": "end" }, number(count)),
  ]);
  const stack = ({ day, counts }, place) => {
    const part = (count, index) => {
      const from = sum(counts.slice(0, index));
      const [bottom, top] = [y(from), y(from + count)];
      const size = { x: x(place) + pitch * 0.14, width: pitch * 0.72, y: top, height: bottom - top };
      return count > 0 && drawn(`rect.series-${index}`, size);
    };
    const told = series.map((each, index) => counts[index] > 0 && `${each.name}: ${number(counts[index])}`);
    const ground = { x: x(place), width: pitch, y: top, height: height - top - bottom };
    const title = [`Week of ${WEEK.format(day)}`, ...told.filter(Boolean)].join("\n");
    return drawn("g", drawn("title", title), drawn("rect.hit", ground), counts.map(part));
  };
  // A month is named below its first Monday.
  const month = ({ day }, place) =>
    day.getUTCDate() <= 7 &&
    drawn("text", { x: x(place) + pitch / 2, y: height - 6, "text-anchor": "middle" }, MONTH.format(day));
  const shown = { role: "img", "aria-label": spoken(weeks, sums), width, height, viewBox: `0 0 ${width} ${height}` };
  return drawn("svg.chart", shown, grid, weeks.map(stack), weeks.map(month));
}

function spoken(weeks, sums) {
  const most = Math.max(...sums);
  const busiest = WEEK.format(weeks[sums.indexOf(most)].day);
  const all = counted(sum(sums), "published certificate");
  return `${all} expire in ${WEEKS} weeks, most of them in the week of ${busiest}: ${number(most)}. A table follows.`;
}
