// The graph of variants: a row for each commit, lanes to its parents.

const LANES_MAX = 18;
const ROW = 30;
const ROWS_SHOWN = 18;

// A lane waits for a commit.  A commit whose parent is awaited already joins that lane at once, so
// that fifty variants of one commit take two lanes and not fifty.
function layLanes(ordered) {
  const lanes = [];
  const colors = [];
  const inside = new Set(ordered);
  const rows = [];
  for (const commit of ordered) {
    let own = lanes.indexOf(commit);
    const isAwaited = own >= 0;
    const color = commit.experiment ? commit.experiment.color : 8;
    if (!isAwaited) {
      own = lanes.indexOf(null);
      if (own < 0) own = lanes.push(null) - 1;
    }
    const before = lanes.map((lane, at) => (lane && lane !== commit ? [at, at, colors[at]] : null)).filter(Boolean);
    lanes[own] = null;
    const after = [];
    for (const parent of commit.parents) {
      const target = commits[parent];
      if (!target || !inside.has(target)) continue;
      let to = lanes.indexOf(target);
      if (to < 0) {
        to = lanes[own] === null ? own : lanes.indexOf(null);
        if (to < 0) to = lanes.push(null) - 1;
        lanes[to] = target;
        colors[to] = color;
      }
      after.push([own, to, color]);
    }
    while (lanes.length && lanes[lanes.length - 1] === null) lanes.pop();
    rows.push({ commit, own, color, through: before, up: isAwaited ? colors[own] ?? color : null, down: after, width: Math.max(own + 1, lanes.length) });
  }
  return rows;
}

class Graph {
  constructor(box, app) {
    this.box = box;
    this.app = app;
    this.rows = [];
    this.place = new Map();
    this.list = new VirtualList(box, ROW, (row, at) => this.draw(row, at));
    box.addEventListener("keydown", (event) => {
      const page = Math.floor(box.clientHeight / ROW) - 1;
      const to = moved(event.key, this.place.get(app.chosen) ?? -1, this.rows.length, page);
      if (to === null || event.ctrlKey || event.metaKey || !this.rows.length) return;
      event.preventDefault();
      app.choose(this.rows[to].commit);
    });
  }

  set(chosen) {
    this.rows = layLanes(inOrder(chosen));
    this.place = new Map(this.rows.map((row, at) => [row.commit, at]));
    const widest = this.rows.reduce((most, row) => Math.max(most, row.width), 1);
    this.lanes = Math.min(widest, LANES_MAX);
    this.gap = this.lanes > 10 ? 9 : 13;
    this.box.style.height = `${Math.max(2, Math.min(this.rows.length, ROWS_SHOWN)) * ROW + 1}px`;
    this.box.scrollTop = 0;
    this.list.set(this.rows);
  }

  choose(commit) {
    const at = this.place.get(commit);
    for (const row of this.list.made.values()) row.setAttribute("aria-selected", "false");
    if (at === undefined) {
      this.box.removeAttribute("aria-activedescendant");
      return;
    }
    this.list.reveal(at);
    this.list.made.get(at)?.setAttribute("aria-selected", "true");
    this.box.setAttribute("aria-activedescendant", `commit-${commit.at}`);
  }

  x(lane) {
    return 8 + Math.min(lane, LANES_MAX - 1) * this.gap;
  }

  draw(row, at) {
    const { commit } = row;
    const made = element("div", "row");
    made.id = `commit-${commit.at}`;
    made.setAttribute("role", "option");
    made.setAttribute("aria-selected", String(this.app.chosen === commit));
    made.setAttribute("aria-posinset", String(at + 1));
    made.setAttribute("aria-setsize", String(this.rows.length));
    made.append(this.drawLanes(row), element("code", "", commit.id));
    for (const ref of commit.refs.slice(0, 3)) made.append(refBadge(ref));
    made.append(show(element("span", "subject"), commit.subject || "(no message)"));
    if (commit.experiment) {
      const name = show(element("span"), commit.experiment.name);
      made.append(element("span", "exp", element("span", `dot c${commit.experiment.color}`), name));
    }
    const text = commit.scores[this.app.metric];
    made.append(element("span", "score", text ?? ""), element("span", "when", ago(commit.time)));
    made.addEventListener("click", () => this.app.choose(commit));
    return made;
  }

  drawLanes(row) {
    const svg = drawing("svg", { class: "lanes", width: 16 + (this.lanes - 1) * this.gap, height: ROW, "aria-hidden": "true" });
    const half = ROW / 2;
    const line = (color, path) => svg.append(drawing("path", { class: `c${color}`, d: path }));
    for (const [lane, , color] of row.through) line(color, `M${this.x(lane)} 0V${ROW}`);
    const x = this.x(row.own);
    if (row.up !== null) line(row.up, `M${x} 0V${half}`);
    for (const [, to, color] of row.down) {
      const end = this.x(to);
      line(color, end === x ? `M${x} ${half}V${ROW}` : `M${x} ${half}C${x} ${ROW} ${end} ${half} ${end} ${ROW}`);
    }
    const isTop = row.commit.experiment?.bestCommit === row.commit;
    svg.append(drawing("circle", { class: `c${row.color}${isTop ? " top" : ""}`, cx: x, cy: half, r: isTop ? 5 : 4.5 }));
    return svg;
  }
}

function refBadge(ref) {
  const made = show(element("span", `ref ${ref.kind}${ref.here ? " here" : ""}`), ref.name);
  made.title = plain(`${ref.kind} ${ref.name}`);
  return made;
}
