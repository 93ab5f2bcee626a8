// Times in the viewer's own zone, with UTC to point at; numbers, spans and the product's words as a person says them.

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
  if (size < 1) return `${Math.round(size * 1000)} ms`;
  if (size < 10) return `${size.toFixed(1)} s`;
  if (size < 120) return `${Math.round(size)} s`;
  if (size < 7200) return `${Math.round(size / 60)} min`;
  if (size < 172800) return `${Math.round(size / 3600)} h`;
  return `${Math.round(size / 86400)} days`;
}

const between = (from, until) => (new Date(until) - new Date(from)) / 1000;
const ago = (moment, now) => `${span(Math.max(0, between(moment, now)))} ago`;
const number = (count) => NUMBER.format(count ?? 0);
const counted = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;
const sum = (counts) => counts.reduce((added, each) => added + each, 0);
const total = (counts) => sum(Object.values(counts));
const percent = (part, whole) => (whole ? `${((100 * part) / whole).toFixed(1)} %` : "–");
const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);
const short = (mark) => el("code", { title: mark }, mark.slice(0, 16));
const common = (name) => name.match(/(?:^|,\s*)CN=((?:\\.|[^,])+)/)?.[1] ?? name;

const STATUSES = {
  written: "Written",
  unchanged: "Already as it should be",
  superseded: "Overtaken by a newer event",
  "managed-on-premises": "Left to Entra Connect",
  gone: "Gone",
  reported: "Reported only",
  deferred: "Waits to be tried again",
  failed: "Failed",
  none: "No event yet",
};

const OWNERS = {
  cloud: "This tenant alone: it is written here",
  "cloud-managed": "Synchronised, but managed in the cloud: it is written here and verified",
  "on-premises": "Entra Connect: it is left alone, and carries over what Active Directory holds",
};

const SURENESS = {
  "only-one": "there is nothing else to take",
  documented: "documented: userSMIMECertificate first",
  unknown: "which of them is not documented",
};

const KINDS = { full: "Everybody", scope: "Chosen people", due: "Whom time has changed" };

const PHASES = {
  directory: "Reading the directory",
  read: "Reading recipients",
  compare: "Comparing",
  sift: "Looking for the chosen",
  due: "Looking for whom time has changed",
  lists: "Looking for whom new revocation lists name",
  examine: "Examining",
  send: "Sending again",
  done: "Done",
  guarded: "Guarded",
  failed: "Failed",
  abandoned: "Abandoned",
};
