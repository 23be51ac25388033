/* The theme, and the start of everything. */

function setUpTheme() {
  const themes = { system: "light dark", light: "light", dark: "dark" };
  let current = "system";
  byId("theme").addEventListener("click", () => {
    const names = Object.keys(themes);
    current = names[(names.indexOf(current) + 1) % names.length];
    document.documentElement.style.colorScheme = themes[current];
    byId("theme").querySelector("span").textContent = current;
  });
}

setUpRates();
setUpCurves();
setUpBrowser();
setUpClasses();
setUpDeltas();
setUpPerception();
setUpTheme();
