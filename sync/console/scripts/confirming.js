// What would be done is shown first, from the app's own dry run; only then can it be confirmed.

// `dry` and `act` ask the app; `plan` shows what the dry run answered, `done` says what was done. Gives whether it was.
async function confirmed({ title, button, dry, plan, act, done }) {
  const dialog = at("dialog");
  const invoker = document.activeElement;
  const fallback = invoker?.closest("section")?.querySelector("h2");
  const close = () => dialog.close();
  const frame = (content, actions) =>
    dialog.replaceChildren(
      el("h2", { id: "dialog-title" }, title),
      el("div", { class: "content" }, content),
      el("div", { class: "row actions" }, actions),
    );
  const cancel = (name) => el("button", { type: "button", click: close, autofocus: true }, name);
  return new Promise((settle) => {
    let acted = false;
    const ended = () => {
      settle(acted);
      // What was pressed may be gone with what it was about.
      if (!invoker?.isConnected) fallback?.focus();
    };
    dialog.addEventListener("close", ended, { once: true });
    const failing = (trouble, again) => {
      if (!(trouble instanceof Trouble)) throw trouble;
      frame(troubled(trouble, again), cancel("Close"));
      dialog.querySelector("button")?.focus();
    };
    const working = () => {
      frame(el("p", { class: "empty" }, "One moment …"), cancel("Close"));
      dialog.setAttribute("aria-busy", "true");
    };
    const acting = async () => {
      working();
      try {
        say(done(await act()));
        acted = true;
        close();
      } catch (trouble) {
        failing(trouble, acting);
      } finally {
        dialog.removeAttribute("aria-busy");
      }
    };
    const asking = async () => {
      working();
      try {
        const { content, possible } = plan(await dry());
        const go = possible && el("button", { type: "button", class: "primary", click: acting }, button);
        frame(content, [cancel(possible ? "Cancel" : "Close"), go]);
        dialog.querySelector("[autofocus]").focus();
      } catch (trouble) {
        failing(trouble, asking);
      } finally {
        dialog.removeAttribute("aria-busy");
      }
    };
    dialog.showModal();
    asking();
  });
}
