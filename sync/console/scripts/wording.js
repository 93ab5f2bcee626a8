// Times in the viewer's own zone, with UTC to point at; numbers and spans as a person would say them.

const LOCAL = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const CLOCK = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const DAY = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const NUMBER = new Intl.NumberFormat();

const utc = (moment) => `${new Date(moment).toISOString().slice(0, 19).replace("T", " ")} UTC`;

function time(moment, format = LOCAL) {
  if (!moment) return "–";
  const date = new Date(moment);
  if (Number.isNaN(date.getTime())) return String(moment);
  return el("time", { datetime: date.toISOString(), title: utc(date) }, format.format(date));
}

function span(seconds) {
  const size = Math.abs(seconds);
  if (size < 10) return `${size.toFixed(1)} s`;
  if (size < 120) return `${Math.round(size)} s`;
  if (size < 7200) return `${Math.round(size / 60)} min`;
  if (size < 172800) return `${Math.round(size / 3600)} h`;
  return `${Math.round(size / 86400)} days`;
}

const between = (from, until) => (new Date(until) - new Date(from)) / 1000;
const ago = (moment, now) => `${span(Math.max(0, between(moment, now)))} ago`;
const number = (count) => NUMBER.format(count);
const counted = (count, one, many) => `${number(count)} ${count === 1 ? one : many}`;
const total = (counts) => Object.values(counts).reduce((sum, each) => sum + each, 0);
