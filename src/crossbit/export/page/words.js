// Texts to features, equal to the bit to `crossbit.features.words` in Python: tf-idf of words and of pieces of words, and
// for rare words the mean of the texts that hold them. Nothing here needs a browser.

const WORD = /(?<unspaced>(?:um*)+)|[ld]m*(?:[ld]m*|(?<=d)[.,](?=d))*|ff|[sf]/g; // over classes; see crossbit.storage.words
const SPACE = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/; // as Python splits
const ASCII = /^[\0-\x7f]*$/;
const PIECES = [3, 4]; // characters of a piece
const CODES = 0x40000; // characters with a class

/** The normal form of texts and their words, by the tables of the Python that trained (features.json, "unicode"). */
export class Characters {
  constructor({ hidden, folded, classes }) {
    this.folded = new Map(Object.entries(folded));
    this.hidden = new Set();
    each(hidden, (code) => this.hidden.add(code));
    this.classes = new Uint8Array(CODES).fill(" ".charCodeAt(0));
    for (const [kind, ranges] of Object.entries(classes)) {
      each(ranges, (code) => code < CODES && (this.classes[code] = kind.charCodeAt(0)));
    }
  }

  /** One form for texts that mean the same. */
  normalForm(text) {
    if (ASCII.test(text)) return text.toLowerCase();
    const visible = [...text.replaceAll("\u200b", " ").normalize("NFKC")].filter((one) => !this.hidden.has(one.codePointAt(0)));
    const folded = this.#fold(this.#fold(visible.join("").normalize("NFD")).normalize("NFKC"));
    return folded.normalize("NFKC").replaceAll("i\u0307", "i");
  }

  /** The words of a text, as often as they occur; with `pairs` also neighbours in scripts without spaces. */
  wordsOf(text, pairs = true) {
    const characters = [...this.normalForm(text)];
    const classes = characters.map((one) => String.fromCharCode(this.classes[one.codePointAt(0)] ?? 32)).join("");
    const words = [];
    for (const found of classes.matchAll(WORD)) {
      const part = characters.slice(found.index, found.index + found[0].length);
      if (found.groups.unspaced === undefined) {
        words.push(part.join(""));
        continue;
      }
      const single = [];
      part.forEach((one, at) => (found[0][at] === "u" ? single.push(one) : (single[single.length - 1] += one)));
      words.push(...single);
      if (pairs) single.slice(1).forEach((one, at) => words.push(single[at] + one));
    }
    return words;
  }

  /** Three and four characters of each word, with a space before and behind it. */
  piecesOf(text) {
    const pieces = [];
    for (const word of this.normalForm(text).split(SPACE).filter(Boolean)) {
      const characters = [" ", ...word, " "];
      for (const size of PIECES) {
        const many = Math.max(1, characters.length - size + 1);
        for (let start = 0; start < many; start += 1) pieces.push(characters.slice(start, start + size).join(""));
        if (characters.length <= size) break; // a short word counts once
      }
    }
    return pieces;
  }

  #fold(text) {
    return [...text].map((one) => this.folded.get(one) ?? one).join("");
  }
}

/** Calls `use` for every code of ranges [first, last, first, last, ...]. */
function each(ranges, use) {
  for (let at = 0; at < ranges.length; at += 2) for (let code = ranges[at]; code <= ranges[at + 1]; code += 1) use(code);
}

/** What makes a text's features. */
export class WordFeatures {
  /** `told` is features.json, `weights` weights.bin, `load(number)` gives the bytes of rare/NUMBER.bin. */
  constructor(told, weights, load) {
    this.characters = new Characters(told.unicode);
    this.load = load;
    this.shard = told.shard;
    this.shards = new Map();
    this.rare = new Map(told.rare.map((word, place) => [word, place]));
    this.dim = 0;
    this.parts = Object.entries(told.parts).map(([name, vocabulary]) => {
      const first = this.dim;
      this.dim += vocabulary.length;
      return { name, first, end: this.dim, columns: new Map(vocabulary.map((word, column) => [word, first + column])) };
    });
    this.weights = new Float32Array(weights);
  }

  /** Words of a text that are not known, and whether anything of it is. */
  heard(text) {
    const has = (word) => this.rare.has(word) || this.#columns("words").has(word);
    const words = this.characters.wordsOf(text);
    const any = words.some((word) => this.rare.has(word)) || this.parts.some((part) => this.#analyze(part, text).some((one) => part.columns.has(one)));
    return { any, unknown: [...new Set(this.characters.wordsOf(text, false))].filter((word) => !has(word)) };
  }

  /** A text to Float32Array (dim). */
  async features(text) {
    const row = new Float64Array(this.dim);
    for (const part of this.parts) this.#weigh(part, text, row);
    const words = new Set(this.characters.wordsOf(text));
    const rare = [...words].filter((word) => this.rare.has(word));
    if (rare.length) await this.#blend(row, words, rare);
    return Float32Array.from(row);
  }

  #columns(name) {
    return this.parts.find((part) => part.name === name)?.columns ?? new Map();
  }

  #analyze(part, text) {
    return part.name === "words" ? this.characters.wordsOf(text) : this.characters.piecesOf(text);
  }

  /** (1 + log count) x weight, of length 1; in float32 where Python has float32. */
  #weigh(part, text, row) {
    const counts = new Map();
    for (const one of this.#analyze(part, text)) {
      const column = part.columns.get(one);
      if (column !== undefined) counts.set(column, (counts.get(column) ?? 0) + 1);
    }
    let squares = 0;
    for (const [column, count] of counts) {
      row[column] = Math.fround(Math.fround(Math.log(count) + 1) * this.weights[column]);
      squares += row[column] ** 2;
    }
    for (const column of counts.keys()) row[column] = Math.fround(row[column] / Math.sqrt(squares));
  }

  /** Rare words by their company; see crossbit.features.company. */
  async #blend(row, words, rare) {
    const share = rare.length / (rare.length + this.#frequent(words));
    const weight = (share * share * share) / rare.length;
    const kept = (1 - share) * (1 - share) * (1 - share);
    const means = await Promise.all(rare.map((word) => this.#mean(this.rare.get(word))));
    for (let column = 0; column < row.length; column += 1) row[column] *= kept;
    for (const { columns, values } of means) columns.forEach((column, at) => (row[column] += weight * values[at]));
    for (const { first, end } of this.parts) {
      const part = row.subarray(first, end);
      const size = Math.sqrt(part.reduce((squares, value) => squares + value * value, 0)) || 1;
      part.forEach((value, column) => (part[column] = value / size));
    }
  }

  /** How many words have a column; a character of a rare pair counts with its pair only. */
  #frequent(words) {
    const paired = new Set();
    for (const word of words) {
      if (ASCII.test(word) || !this.rare.has(word)) continue;
      const single = this.characters.wordsOf(word, false);
      if (single.length > 1) single.forEach((one) => paired.add(one));
    }
    return [...words].filter((word) => !paired.has(word) && this.#columns("words").has(word)).length;
  }

  async #mean(place) {
    const number = Math.floor(place / this.shard);
    if (!this.shards.has(number)) this.shards.set(number, this.load(number));
    const bytes = await this.shards.get(number).catch((error) => {
      this.shards.delete(number); // the next search asks again
      throw error;
    });
    const many = Math.min(this.shard, this.rare.size - number * this.shard);
    const starts = new Uint32Array(bytes, 0, many + 1);
    const [first, end] = starts.subarray(place % this.shard, (place % this.shard) + 2);
    const columns = new Uint32Array(bytes, 4 * (many + 1), starts[many]);
    const values = new Float32Array(bytes, 4 * (many + 1 + starts[many]), starts[many]);
    return { columns: columns.subarray(first, end), values: values.subarray(first, end) };
  }
}
