// Looks at once, and again every 30 seconds while somebody can see it.

const EVERY = 30_000;
let timer = 0;
let seen = null;

async function look() {
  clearTimeout(timer);
  try {
    const status = await ask("status");
    docs = status.docs ?? "";
    seen = status.at;
    fill(at("trouble"), null, () => []);
    fill(at("state"), status, () => stateOf(status));
    fill(at("agents"), status, () => agentsOf(status));
    at("looked").replaceChildren("Looked at ", time(status.at, CLOCK));
  } catch (trouble) {
    if (!(trouble instanceof Trouble)) throw trouble;
    fill(at("trouble"), [trouble.status, trouble.code, trouble.message], () => troubled(trouble, look));
    at("looked").replaceChildren(...(seen ? ["Shown is what was seen at ", time(seen, CLOCK)] : ["Not looked yet"]));
  } finally {
    timer = setTimeout(look, EVERY);
  }
}

takeKey();
themed();
at("look").addEventListener("click", look);
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "hidden") clearTimeout(timer);
  else look();
});
look();
