// The theme that was chosen, before anything is painted; without a choice the system's. Not a module: modules wait.
{
  let theme = null;
  try {
    theme = localStorage.getItem("theme");
  } catch {
    // no storage, no choice
  }
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
}
