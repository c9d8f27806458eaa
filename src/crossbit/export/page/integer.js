// An encoder in whole numbers: int8 weights, int32 sums, shifts and thresholds, as `crossbit.model.integer` in Python.
// Every engine gives the same bytes. Nothing here needs a browser: Node reads it, too.

const HALF = 1 << 14;
const PLACES = 15; // a response's table holds factors in units of 2^-15
const HALF_REST = 1 << 6;
const REST = 7; // one of `rest` is worth 2^-7 of a weight
const KINDS = { I8: Int8Array, I32: Int32Array, I64: BigInt64Array };

/** An encoder from the bytes (ArrayBuffer) of a file `MODALITY.integer.safetensors`. */
export function readInteger(buffer) {
  const size = Number(new DataView(buffer).getBigUint64(0, true));
  const { __metadata__: notes, ...named } = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, size)));
  const arrays = {};
  for (const [name, { dtype, data_offsets: [first, end] }] of Object.entries(named)) {
    arrays[name] = new KINDS[dtype](buffer.slice(8 + size + first, 8 + size + end));
  }
  return new IntegerEncoder(JSON.parse(notes.network).steps, arrays);
}

/** Features (Float32Array) to packed codes (Uint8Array), row by row. */
export class IntegerEncoder {
  constructor(steps, arrays) {
    this.dim = arrays["0.exponents"].length;
    this.bytes = arrays[`${steps.length - 1}.thresholds`].length / 8;
    this.steps = steps.map((step, number) => {
      const given = { ...step };
      for (const [name, array] of Object.entries(arrays)) {
        if (name.startsWith(`${number}.`)) given[name.slice(`${number}.`.length)] = array;
      }
      return given;
    });
  }

  /** `features` holds rows one behind the other; so do the codes. */
  encode(features) {
    const rows = features.length / this.dim;
    const codes = new Uint8Array(rows * this.bytes);
    for (let row = 0; row < rows; row += 1) {
      codes.set(this.code(features.subarray(row * this.dim, (row + 1) * this.dim)), row * this.bytes);
    }
    return codes;
  }

  /** The code of one row. */
  code(features) {
    const made = [];
    for (const step of this.steps) made.push(OPERATIONS[step.op](taken(step.of, made, features), step));
    return made.at(-1);
  }
}

/** What a step takes: the values of other steps side by side, or the features. */
function taken(of, made, features) {
  if (of.length === 0) return features;
  if (of.length === 1) return made[of[0]];
  const parts = of.map((number) => made[number]);
  const joined = new Int32Array(parts.reduce((size, part) => size + part.length, 0));
  parts.reduce((at, part) => (joined.set(part, at), at + part.length), 0);
  return joined;
}

const hold = (value, low, high) => Math.min(Math.max(value, low), high);

/** To the nearest whole number, halves to the even one. Exact for numbers below 2^51. */
function rounded(value) {
  const floor = Math.floor(value);
  const rest = value - floor; // exact
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

function quantise(x, { exponents, top }) {
  return Int32Array.from(x, (value, column) => rounded(hold(value * 2 ** exponents[column], -top, top)));
}

/** A row divided by its length, in doubles below 2^53, which are exact. */
function unit(x, { shift, top }) {
  const length = Math.max(root(x.reduce((sum, value) => sum + value * value, 0)), 1);
  return x.map((value) => Math.sign(value) * Math.min(Math.floor((Math.abs(value) * 2 ** shift) / length), top));
}

function root(squares) {
  let found = Math.floor(Math.sqrt(squares));
  if (found * found > squares) found -= 1;
  if ((found + 1) * (found + 1) <= squares) found += 1;
  return found;
}

/** Row times matrix in int32. An export proves that no sum overflows. */
function products(x, weights, width) {
  const made = new Int32Array(width);
  for (let row = 0, at = 0; row < x.length; row += 1, at += width) {
    const value = x[row];
    if (value === 0) continue;
    for (let column = 0; column < width; column += 1) made[column] += Math.imul(value, weights[at + column]);
  }
  return made;
}

/** The same with what int8 weights leave over, in units of 2^-7 of a weight. */
function sums(x, weights, rest, width) {
  const further = products(x, rest, width);
  return products(x, weights, width).map((sum, column) => sum + ((further[column] + HALF_REST) >> REST));
}

function layer(x, { weights, rest, bias, shifts, top }) {
  return sums(x, weights, rest, bias.length).map((sum, column) => hold((sum + bias[column]) >> shifts[column], 0, top));
}

function response(x, { factors, table, shift, window }) {
  const parts = x.map((value, column) => Math.imul(Math.imul(value, value), factors[column]) >> shift);
  const side = window >> 1;
  return x.map((value, column) => {
    let near = 0;
    for (let at = Math.max(0, column - side); at <= Math.min(x.length - 1, column + side); at += 1) near += parts[at];
    return (Math.imul(value, table[Math.min(near, table.length - 1)]) + HALF) >> PLACES;
  });
}

/** Packed codes, the first bit the highest of its byte. */
function codes(x, { weights, rest, thresholds }) {
  const packed = new Uint8Array(thresholds.length / 8);
  sums(x, weights, rest, thresholds.length).forEach((sum, bit) => {
    if (sum >= thresholds[bit]) packed[bit >> 3] |= 128 >> (bit & 7);
  });
  return packed;
}

const OPERATIONS = { quantise, unit, layer, response, codes };
