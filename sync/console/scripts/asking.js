// Asks the routes beside this page. Every failure becomes a Trouble with a code, a message and a hint.

class Trouble extends Error {
  constructor({ status = 0, code, message, hint }) {
    super(message);
    Object.assign(this, { status, code, hint });
  }
}

const KEPT = "smime-sync.key";

// The key goes out of the address at once: addresses are kept in histories and shown over shoulders.
function takeKey() {
  const here = new URL(location.href);
  const code = here.searchParams.get("code");
  if (code === null) return;
  sessionStorage.setItem(KEPT, code);
  here.searchParams.delete("code");
  history.replaceState(history.state, "", here);
}

async function ask(name, { query = {}, body } = {}) {
  const address = new URL(name, location.href);
  address.hash = "";
  address.search = new URLSearchParams(query);
  // Another site cannot send this header without being asked first, so that no page elsewhere acts in our name.
  const headers = { "x-requested-with": "smime-sync" };
  const key = sessionStorage.getItem(KEPT);
  if (key) headers["x-functions-key"] = key;
  if (body) headers["content-type"] = "application/json";
  const options = {
    headers,
    cache: "no-store",
    redirect: "manual",
    signal: AbortSignal.timeout(body ? 240_000 : 60_000),
  };
  if (body) Object.assign(options, { method: "POST", body: JSON.stringify(body) });
  let answer;
  let text;
  try {
    answer = await fetch(address, options);
    text = await answer.text();
  } catch (error) {
    throw unanswered(error);
  }
  if (answer.type === "opaqueredirect") throw new Trouble({ ...SIGNED_OUT, status: 401 });
  let told = null;
  try {
    told = JSON.parse(text);
  } catch {
    // Told below: the host itself answers without JSON.
  }
  if (answer.ok && told !== null) return told;
  throw refused(answer.status, told?.error);
}

const SIGNED_OUT = {
  code: "signed-out",
  message: "Your sign-in has ended.",
  hint: "Open this page anew to sign in again.",
};

function unanswered(error) {
  if (error.name === "TimeoutError") {
    return new Trouble({
      code: "no-answer",
      message: "The app did not answer in time.",
      hint: "Try again in a moment.",
    });
  }
  return new Trouble({
    code: "unreachable",
    message: "The app cannot be reached.",
    hint: "Is it running, and is this machine on the network?",
  });
}

function refused(status, error) {
  if (error?.code) return new Trouble({ status, ...error });
  if (status === 401) {
    return new Trouble({
      status,
      code: "request-unauthorised",
      message: "The key is missing or wrong.",
      hint: "Enter the app's key; or open this page with `?code=` and the key.",
    });
  }
  const message = `The app answered ${status} and nothing that this page understands.`;
  return new Trouble({ status, code: "no-answer", message, hint: "Look at the app's log." });
}
