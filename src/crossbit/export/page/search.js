// Codes compared with one another: the nearest by Hamming distance, of equal ones the one with the lower id first.

const ONES = Uint8Array.from({ length: 256 }, (_, byte) => byte.toString(2).replaceAll("0", "").length);

export class Codes {
  /** `bytes` holds codes of `size` bytes, in the order of their ids; `things` the place of the first that shows the same
   * thing as each, or null where none does. */
  constructor(bytes, size, things) {
    this.bytes = bytes;
    this.size = size;
    this.things = things;
    this.count = bytes.length / size;
  }

  /** The code at a place. */
  at(place) {
    return this.bytes.subarray(place * this.size, (place + 1) * this.size);
  }

  /** The nearest things, at most `most`, as {place, distance}; one hit a thing, and none of the thing `without`. */
  nearest(code, most, without = -1) {
    const distances = this.#distances(code);
    const order = sorted(distances, 8 * this.size);
    const thing = (place) => (this.things ? this.things[place] : place);
    const seen = new Set(without < 0 ? [] : [thing(without)]);
    const hits = [];
    for (const place of order) {
      if (hits.length === most) break;
      if (seen.has(thing(place))) continue;
      seen.add(thing(place));
      hits.push({ place, distance: distances[place] });
    }
    return hits;
  }

  #distances(code) {
    const { bytes, size, count } = this;
    const distances = new Uint16Array(count);
    for (let place = 0, at = 0; place < count; place += 1) {
      let distance = 0;
      for (let byte = 0; byte < size; byte += 1, at += 1) distance += ONES[bytes[at] ^ code[byte]];
      distances[place] = distance;
    }
    return distances;
  }
}

/** Places by distance, of equal ones the lower first. */
function sorted(distances, largest) {
  const starts = new Uint32Array(largest + 2);
  for (const distance of distances) starts[distance + 1] += 1;
  for (let distance = 0; distance <= largest; distance += 1) starts[distance + 1] += starts[distance];
  const order = new Uint32Array(distances.length);
  distances.forEach((distance, place) => (order[starts[distance]++] = place));
  return order;
}
