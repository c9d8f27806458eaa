// What was decided, without the page: a list of decisions, the last about a row counts.
class Decisions {
  constructor(held, stored) {
    this.held = held;
    const rows = new Map(held.items.map((item) => [item.row, item]));
    this.made = (stored || []).filter((one) => {
      const item = rows.get(one.row);
      return item && one.data === held.data && JSON.stringify(one.observed) === JSON.stringify(item.observed);
    });
  }
  // kind: "accept", "keep" or "other"; labels are given for "other" alone
  decide(item, kind, labels) {
    const after = kind === "accept" ? item.suggested : kind === "keep" ? item.observed : labels;
    this.made.push({ data: this.held.data, row: item.row, decision: kind, observed: item.observed, labels: after });
  }
  // Takes the last decision back and returns its row, or null.
  undo() {
    const last = this.made.pop();
    return last ? last.row : null;
  }
  of(row) {
    return this.made.findLast((one) => one.row === row) || null;
  }
  get count() {
    return new Set(this.made.map((one) => one.row)).size;
  }
  // A line of JSON for each row, in the order of the items.
  lines() {
    const last = this.held.items.map((item) => this.of(item.row)).filter((one) => one);
    return last.map((one) => JSON.stringify(one) + "\n").join("");
  }
}
