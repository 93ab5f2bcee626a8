// Looks at once, and again every 30 seconds while somebody can see it.

const EVERY = 30_000;
const SOON = 5_000; // while a run is at work
let timer = 0;
let working = false;
let status = null;

function showFailures() {
  const listed = [...unfolded].map(([code, list]) => [code, list instanceof Trouble ? list.message : list]);
  fill(at("failed"), [status.failed, listed, docs], () => failuresOf(status));
}

function showExpiry() {
  const place = at("expiry");
  const { paddingLeft, paddingRight } = getComputedStyle(place);
  const width = Math.floor(place.clientWidth - parseFloat(paddingLeft) - parseFloat(paddingRight));
  fill(place, [status.summary, status.issuers, width], () => expiryOf(status, Math.max(width, 240)));
}

function showStatus() {
  fill(at("trouble"), null, () => []);
  fill(at("state"), status, () => stateOf(status));
  fill(at("coverage"), status.summary, () => coverageOf(status));
  fill(at("agents"), [status.agents, status.cursors, status.certificates, status.at], () => agentsOf(status));
  showExpiry();
  showFailures();
  const failures = total(status.failed);
  at("failed-count").textContent = failures ? number(failures) : "";
  at("looked").replaceChildren("Looked at ", time(status.at, CLOCK));
  document.title = `${HEALTH[status.health] ?? status.health} · smime-sync`;
}

async function look() {
  clearTimeout(timer);
  document.body.setAttribute("aria-busy", "true");
  try {
    const told = await ask("status");
    docs = told.docs ?? "";
    if (status && status.health !== told.health) say(`The state is now: ${HEALTH[told.health] ?? told.health}`);
    status = told;
    showStatus();
    await lookAtRuns();
  } catch (trouble) {
    show(at("trouble"), trouble, look);
    at("looked").replaceChildren(
      ...(status ? ["The last look failed; shown is what was seen at ", time(status.at, CLOCK)] : ["Not looked yet"]),
    );
  } finally {
    document.body.removeAttribute("aria-busy");
    clearTimeout(timer); // of another look, which began meanwhile
    if (document.visibilityState === "visible") timer = setTimeout(look, working ? SOON : EVERY);
  }
}

async function lookAtRuns() {
  const place = at("runs");
  try {
    const told = await ask("runs");
    working = told.current !== null;
    fill(place, [told, working && status.at], () => runsOf(told, status.at));
    const guard = await ask("guard");
    fill(at("guard"), guard, () => guardOf(guard));
  } catch (trouble) {
    show(place, trouble, look);
  }
}

// Everything anew, as after a key was entered.
async function refresh() {
  await look();
  if (asked !== null) await explain(asked);
}

takeKey();
themed();
at("look").addEventListener("click", look);
at("search").addEventListener("submit", (event) => {
  event.preventDefault();
  const who = at("who").value.trim();
  if (who) open(who);
});
at("person-close").addEventListener("click", close);
at("person-again").addEventListener("click", () => explain(asked));
addEventListener("popstate", byAddress);
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "hidden") clearTimeout(timer);
  else look();
});
new ResizeObserver(() => status && showExpiry()).observe(at("expiry"));
look().then(byAddress);
