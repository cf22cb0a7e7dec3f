// Before the first paint: the theme that was chosen, else the system's.
(() => {
  const chosen = localStorage.getItem("valet.theme");
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
})();
