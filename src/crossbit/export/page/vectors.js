// Vectors to features, as `crossbit.features.scaled` and `as_is` in Python.

/** What makes features of numbers that are typed or pasted. */
export class VectorFeatures {
  constructor({ mean = null, scale = null }, dim) {
    this.mean = mean;
    this.scale = scale;
    this.dim = dim;
  }

  /** Why a text is no vector; empty where it is one. */
  wrong(text) {
    const numbers = numbersOf(text);
    if (numbers.some((number) => !Number.isFinite(Math.fround(number)))) return "Numbers are wanted, separated by spaces or commas";
    return numbers.length === this.dim ? "" : `${numbers.length} numbers were given; a vector has ${this.dim}`;
  }

  async features(text) {
    const scaled = (number, at) => (this.mean ? (number - this.mean[at]) / this.scale[at] : number);
    return Float32Array.from(numbersOf(text), scaled);
  }
}

const numbersOf = (text) => text.split(/[\s,;[\]]+/).filter(Boolean).map(Number);
