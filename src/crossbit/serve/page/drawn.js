// A picture as the service takes it: drawn anew where it is large, or of a kind that only the browser reads.

const TAKEN = ["image/png", "image/jpeg", "image/webp", "image/gif", "image/bmp", "image/tiff"];
const LARGE = 1_000_000; // bytes that are sent as they are
const SIDE = 1024; // pixels of a large one; models see fewer
const LINES = "image/svg+xml"; // has no pixels of its own

async function loaded(file) {
  const image = new Image();
  image.src = URL.createObjectURL(file);
  try {
    await image.decode();
    return image;
  } finally {
    URL.revokeObjectURL(image.src);
  }
}

/** The file, or what the browser draws of it. A file that it cannot draw stays: the service says what is wrong with it. */
export async function drawn(file) {
  if (TAKEN.includes(file.type) && file.size <= LARGE) return file;
  try {
    const image = await loaded(file);
    const [width, height] = [image.naturalWidth || SIDE, image.naturalHeight || SIDE];
    const scale = SIDE / Math.max(width, height);
    const by = file.type === LINES ? scale : Math.min(scale, 1);
    const canvas = new OffscreenCanvas(Math.max(1, Math.round(by * width)), Math.max(1, Math.round(by * height)));
    const context = canvas.getContext("2d");
    context.fillStyle = "white"; // as the service sees what is transparent
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(image, 0, 0, canvas.width, canvas.height);
    return new File([await canvas.convertToBlob({ type: "image/jpeg", quality: 0.92 })], file.name, { type: "image/jpeg" });
  } catch {
    return file;
  }
}
