// Scores over time: a dot for each commit, and a line for the best so far of each experiment.

const MARGIN = { left: 54, right: 18, top: 12, bottom: 30 };

function niceTicks(low, high, wanted) {
  const span = high - low || Math.abs(high) || 1;
  const rough = span / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((each) => each * power).find((each) => each >= rough);
  const ticks = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step / 1e6; at += step) ticks.push(Number(at.toPrecision(12)));
  return ticks;
}

const SPANS = [1, 5, 15, 30, 60, 300, 900, 1800, 3600, 10800, 21600, 43200, 86400, 172800, 604800, 2592000, 7776000, 31536000];

function timeTicks(low, high, wanted) {
  const step = SPANS.find((each) => (high - low) / each <= wanted) ?? SPANS.at(-1);
  const shift = new Date(low * 1000).getTimezoneOffset() * 60;
  const ticks = [];
  for (let at = Math.ceil((low - shift) / step) * step + shift; at <= high; at += step) ticks.push(at);
  const label = (at) => {
    const text = moment(at);
    if (step >= 86400) return text.slice(5, 10);
    return step >= 60 ? text.slice(high - low > 86400 ? 5 : 11, 16) : text.slice(11);
  };
  return ticks.map((at) => [at, label(at)]);
}

class Chart {
  constructor(box, app) {
    this.box = box;
    this.app = app;
    this.points = [];
    this.cursor = -1;
    box.addEventListener("pointermove", (event) => this.hover(event));
    box.addEventListener("pointerleave", () => this.point(-1));
    box.addEventListener("click", () => { if (this.cursor >= 0) app.choose(this.points[this.cursor].commit); });
    box.addEventListener("keydown", (event) => this.key(event));
    box.addEventListener("blur", () => this.point(-1));
    new ResizeObserver(() => this.draw()).observe(box);
  }

  draw() {
    const { app, box } = this;
    const width = box.clientWidth;
    const height = box.clientHeight;
    if (!width) return;
    box.replaceChildren();
    this.points = [];
    this.cursor = -1;
    const series = app.series();
    const front = series.find((each) => app.focus && each.experiment === app.focus);
    if (front) series.push(...series.splice(series.indexOf(front), 1));
    const all = series.flatMap((each) => each.commits);
    box.setAttribute("aria-label", `${app.metric} of ${count(all.length, "commit")} in ${series.length} series. Arrow keys go from point to point, Enter opens.`);
    if (!all.length) {
      const hint = element("div", "empty", commits.length ? "No numbers recorded here yet." : "No commits yet.");
      hint.append(element("code", "", "helios experiment record score=0.93"));
      box.append(hint);
      return;
    }
    const byTime = app.axis === "time";
    const xOf = (commit) => (byTime ? commit.time : commit.order);
    const yOf = (commit) => valueOf(commit.scores[app.metric]);
    let [left, right, low, high] = [Infinity, -Infinity, Infinity, -Infinity];
    for (const commit of all) {
      left = Math.min(left, xOf(commit)); right = Math.max(right, xOf(commit));
      low = Math.min(low, yOf(commit)); high = Math.max(high, yOf(commit));
    }
    if (left === right) { left -= byTime ? 30 : 1; right += byTime ? 30 : 1; }
    const room = (high - low || Math.abs(high) || 1) * 0.06;
    low -= room; high += room;
    const x = (value) => MARGIN.left + ((value - left) / (right - left)) * (width - MARGIN.left - MARGIN.right);
    const y = (value) => height - MARGIN.bottom - ((value - low) / (high - low)) * (height - MARGIN.top - MARGIN.bottom);
    const svg = drawing("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
    this.svg = svg;
    for (const tick of niceTicks(low, high, Math.max(3, height / 60))) {
      svg.append(drawing("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y(tick), y2: y(tick) }));
      svg.append(drawing("text", { x: MARGIN.left - 8, y: y(tick) + 4, "text-anchor": "end" }, String(tick)));
    }
    const wanted = Math.max(2, width / 110);
    const ticks = byTime ? timeTicks(left, right, wanted) : niceTicks(left, right, wanted).filter(Number.isInteger).map((at) => [at, String(at)]);
    for (const [at, label] of ticks) svg.append(drawing("text", { x: x(at), y: height - 9, "text-anchor": "middle" }, label));
    svg.append(drawing("line", { class: "grid baseline", x1: MARGIN.left, x2: width - MARGIN.right, y1: height - MARGIN.bottom, y2: height - MARGIN.bottom }));
    const crowd = all.length > 4000 ? " most" : all.length > 600 ? " many" : "";
    for (const each of series) {
      const faded = !app.focus ? "" : each === front ? " front" : " faded";
      let dots = "";
      let line = "";
      let best = null;
      for (const commit of each.commits) {
        const [px, py] = [x(xOf(commit)), y(yOf(commit))];
        this.points.push({ commit, x: px, y: py, color: each.color });
        dots += `M${px.toFixed(1)} ${py.toFixed(1)}h0`;
        const value = yOf(commit);
        if (best === null || isBetter(value, best, app.metric)) {
          line += best === null ? `M${px.toFixed(1)} ${py.toFixed(1)}` : `H${px.toFixed(1)}V${py.toFixed(1)}`;
          best = value;
        }
      }
      if (each.experiment) {
        line += `H${x(xOf(each.commits.at(-1))).toFixed(1)}`;
        svg.append(drawing("path", { class: `best c${each.color}${faded}`, d: line }));
      }
      const path = drawing("path", { class: `dots c${each.color}${crowd}${faded}`, d: dots });
      path.dataset.count = String(each.commits.length);
      svg.append(path);
    }
    this.points.sort((a, b) => a.x - b.x || a.y - b.y);
    this.marks = drawing("g", {});
    svg.append(this.marks);
    box.append(svg);
    this.mark();
  }

  mark() {
    if (!this.marks?.isConnected) return;
    this.marks.replaceChildren();
    const chosen = this.points.find((each) => each.commit === this.app.chosen);
    if (chosen) this.marks.append(drawing("circle", { class: "chosen", cx: chosen.x, cy: chosen.y, r: 8 }));
    const here = this.points[this.cursor];
    if (!here) return;
    const bottom = this.box.clientHeight - MARGIN.bottom;
    this.marks.append(drawing("line", { class: "hair", x1: here.x, x2: here.x, y1: MARGIN.top, y2: bottom }));
    this.marks.append(drawing("circle", { class: `ring c${here.color}`, cx: here.x, cy: here.y, r: 5.5 }));
  }

  hover(event) {
    const box = this.box.getBoundingClientRect();
    const [px, py] = [event.clientX - box.left, event.clientY - box.top];
    let found = -1;
    let nearest = 40 ** 2;
    this.points.forEach((each, at) => {
      if (this.app.focus && this.app.focus !== each.commit.experiment) return;
      const distance = (each.x - px) ** 2 + (each.y - py) ** 2;
      if (distance < nearest) [nearest, found] = [distance, at];
    });
    this.point(found);
  }

  key(event) {
    if (!this.points.length) return;
    const steps = { ArrowRight: 1, ArrowLeft: -1, PageDown: 20, PageUp: -20 };
    if (event.key === "Enter" && this.cursor >= 0) this.app.choose(this.points[this.cursor].commit);
    else if (event.key in steps) {
      const from = this.cursor < 0 && steps[event.key] < 0 ? this.points.length : this.cursor;
      this.point(Math.min(this.points.length - 1, Math.max(0, from + steps[event.key])));
    } else return;
    event.preventDefault();
  }

  point(at) {
    if (at === this.cursor) return;
    this.cursor = at;
    this.mark();
    const tip = document.getElementById("tip");
    const here = this.points[at];
    tip.hidden = !here;
    if (!here) return;
    const { commit } = here;
    tip.replaceChildren(element("span", "value", `${this.app.metric} ${commit.scores[this.app.metric]}`), show(element("b"), commit.subject || "(no message)"));
    if (commit.experiment) tip.append(element("span", "who", element("span", `dot c${commit.experiment.color}`), show(element("span"), commit.experiment.name)));
    tip.append(element("span", "who mono", `${commit.id}  ${moment(commit.time)}`));
    const box = this.box.getBoundingClientRect();
    const x = box.left + here.x;
    const beyond = x + 16 + tip.offsetWidth > innerWidth;
    tip.style.left = `${beyond ? x - tip.offsetWidth - 16 : x + 16}px`;
    tip.style.top = `${Math.max(8, box.top + here.y - tip.offsetHeight - 12)}px`;
  }
}
