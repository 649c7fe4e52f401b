// A list of any length, of which only what is in sight exists.

class VirtualList {
  constructor(box, height, draw) {
    this.box = box;
    this.height = height;
    this.draw = draw;
    this.items = [];
    this.made = new Map();
    this.spacer = element("div", "spacer");
    this.spacer.setAttribute("role", "presentation");
    box.append(this.spacer);
    box.addEventListener("scroll", () => this.fill(), { passive: true });
    new ResizeObserver(() => this.fill()).observe(box);
  }

  set(items) {
    this.items = items;
    this.spacer.style.height = `${items.length * this.height}px`;
    this.redraw();
  }

  redraw() {
    for (const row of this.made.values()) row.remove();
    this.made.clear();
    this.fill();
  }

  fill() {
    const first = Math.max(0, Math.floor(this.box.scrollTop / this.height) - 4);
    const last = Math.min(this.items.length, first + Math.ceil(this.box.clientHeight / this.height) + 9);
    for (const [at, row] of this.made) {
      if (at < first || at >= last) {
        row.remove();
        this.made.delete(at);
      }
    }
    for (let at = first; at < last; at += 1) {
      if (this.made.has(at)) continue;
      const row = this.draw(this.items[at], at);
      row.style.transform = `translateY(${at * this.height}px)`;
      this.made.set(at, row);
      this.spacer.append(row);
    }
  }

  reveal(at) {
    const top = at * this.height;
    const { scrollTop, clientHeight } = this.box;
    if (top < scrollTop) this.box.scrollTop = top;
    else if (top + this.height > scrollTop + clientHeight) this.box.scrollTop = top + this.height - clientHeight;
    this.fill();
  }
}

// Keys that move in a list: what they make of the place now.
function moved(key, at, length, page) {
  const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, j: 1, k: -1 };
  if (key === "Home") return 0;
  if (key === "End") return length - 1;
  return key in steps ? Math.min(length - 1, Math.max(0, at + steps[key])) : null;
}
