// The button in the header that changes between light and dark. Every page loads this module.

const root = document.documentElement;
const button = document.getElementById("theme");

function isDark() {
  return root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function name() {
  button.setAttribute("aria-label", isDark() ? "Light theme" : "Dark theme");
  button.title = button.getAttribute("aria-label");
}

button.addEventListener("click", () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  try {
    localStorage.setItem("theme", root.dataset.theme);
  } catch {
    // kept for this page only
  }
  name();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", name);
name();
