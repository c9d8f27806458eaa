// Elements without markup in strings: text is always text.

/** `make("a", {href, class: "x"}, "text", child)`. A property that starts with "on" is a listener. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** An SVG element. */
export function draw(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** A picture of lines, from the `<symbol>` of that name in the page. */
export function icon(name) {
  return draw("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, draw("use", { href: `#${name}` }));
}

const TINY = 96; // pixels; a picture that is no larger is shown with sharp edges

const AGAIN = 2000; // milliseconds until a picture that a busy service refused is asked for once more

/**
 * Once a picture is loaded: sharp edges where it is small, and the class `tall` where it is higher than wide. One that
 * cannot be loaded twice has the class `missing`.
 */
export function keepForm(image) {
  const miss = () => image.classList.add("missing");
  const again = () => {
    image.addEventListener("error", miss);
    image.src = image.getAttribute("src");
  };
  image.addEventListener("error", () => setTimeout(again, AGAIN), { once: true });
  image.addEventListener("load", () => {
    image.classList.toggle("crisp", Math.max(image.naturalWidth, image.naturalHeight) <= TINY);
    image.classList.toggle("tall", image.naturalHeight > image.naturalWidth);
  });
}

export const capital = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1)}`;

/** A line of the service as a sentence: names in quotes, not in backticks. */
export function sentence(line) {
  const said = line.replace(/`([^`]*)`/g, "“$1”");
  return `${capital(said)}${/[.?!]$/.test(said) ? "" : "."}`;
}

export const byId = (id) => document.getElementById(id);
