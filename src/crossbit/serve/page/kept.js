// Pictures that this window was given, under numbers. The last few outlive a reload, and another page in between.

const MOST = 3; // that outlive it
const LONG = 1_500_000; // characters of one; a window may keep some five million
const NAME = "picture-";
const held = new Map(); // of {file, url}
let next = Date.now();

const names = () => Object.keys(sessionStorage).filter((name) => name.startsWith(NAME)).sort();

const hold = (number, file) => held.set(number, { file, url: URL.createObjectURL(file) });

/** Without storage, or where it is full, a picture is in this page alone. */
function store(number, file) {
  const reader = new FileReader();
  reader.addEventListener("load", () => {
    if (reader.result.length > LONG) return;
    try {
      names().slice(0, 1 - MOST).forEach((name) => sessionStorage.removeItem(name));
      sessionStorage.setItem(`${NAME}${number}`, JSON.stringify([file.name, file.type, reader.result]));
    } catch {
      // in this page alone
    }
  });
  reader.readAsDataURL(file);
}

function restore() {
  try {
    for (const name of names()) {
      const [title, type, data] = JSON.parse(sessionStorage.getItem(name));
      const bytes = Uint8Array.from(atob(data.slice(data.indexOf(",") + 1)), (one) => one.charCodeAt(0));
      hold(Number(name.slice(NAME.length)), new File([bytes], title, { type }));
    }
  } catch {
    // none of before
  }
}

restore();

/** Keep a picture; its number. */
export function keep(file) {
  next += 1;
  hold(next, file);
  store(next, file);
  return next;
}

/** The picture of that number, as {file, url}; undefined for one that is no longer kept, or was given to another window. */
export const picture = (number) => held.get(number);
