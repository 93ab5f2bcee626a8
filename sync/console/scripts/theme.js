// Light, dark, or as the system has it.

const THEMES = ["system", "light", "dark"];
const THEME = "smime-sync.theme";

function wear(theme) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  at("theme").textContent = `Theme: ${theme}`;
}

function themed() {
  let theme = localStorage.getItem(THEME);
  if (!THEMES.includes(theme)) theme = "system";
  wear(theme);
  at("theme").addEventListener("click", () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    localStorage.setItem(THEME, theme);
    wear(theme);
  });
}
