// What would be done is shown first, from the app's own dry run; only then can it be confirmed.

// `dry` and `act` ask the app; `plan` shows what the dry run answered and whether anything is to be done, `done` says
// what was done. Gives whether it was: also when the dialog was closed before the app had answered.
async function confirmed({ title, button, dry, plan, act, done }) {
  // One of its own: the last one may not be gone yet when somebody is quick.
  const dialog = el("dialog", { "aria-label": title });
  let shown = true;
  let acted = false;
  const close = () => dialog.close();
  const cancel = (name) => el("button", { type: "button", click: close, autofocus: true }, name);

  function frame(content, actions) {
    dialog.replaceChildren(el("h2", title), el("div.content", content), el("div.row.actions", actions));
    dialog.querySelector("[autofocus]").focus();
  }

  // Waits for the app, and shows its trouble with a way to try again.
  async function waited(asking, again, use) {
    frame(el("p.empty", "One moment …"), cancel("Close"));
    try {
      use(await asking());
    } catch (trouble) {
      if (!(trouble instanceof Trouble)) throw trouble;
      if (shown) frame(troubled(trouble, again), cancel("Close"));
      else say(`${title}: ${trouble.message}`);
    }
  }

  const begin = () =>
    waited(dry, begin, (answer) => {
      if (!shown) return;
      const { content, possible } = plan(answer);
      frame(content, [
        cancel(possible ? "Cancel" : "Close"),
        possible && el("button", { type: "button", class: "primary", click: go }, button),
      ]);
    });
  let going = null;
  const go = () => {
    going = waited(act, go, (answer) => {
      acted = true;
      if (shown) close();
      say(done(answer)); // after it: while a dialog is open, nothing outside it is heard
    });
  };

  const closed = new Promise((settle) => dialog.addEventListener("close", settle, { once: true }));
  document.body.append(dialog);
  dialog.showModal();
  begin();
  await closed;
  shown = false;
  dialog.remove();
  await going;
  return acted;
}
