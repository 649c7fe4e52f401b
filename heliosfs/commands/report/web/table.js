// The table of experiments: sortable by each column, a line to draw each in small.

const COLUMNS = [
  { key: "name", title: "Experiment", classes: "name", of: (each) => each.name, text: true },
  { key: "state", title: "State", classes: "standing", of: (each) => each.state, text: true },
  { key: "count", title: "Commits", classes: "right more", of: (each) => each.commits.length },
  { key: "best", title: "Best", classes: "right", of: (each) => each.best, score: true },
  { key: "last", title: "Last", classes: "right last", of: (each) => each.last, score: true },
  { key: "spark", title: "Best so far", classes: "spark" },
  { key: "started", title: "Started", classes: "right more", of: (each) => each.started },
];

class Table {
  constructor(box, app) {
    this.app = app;
    this.sort = "best";
    this.order = 1;
    const top = element("div", "top");
    top.setAttribute("role", "row");
    this.heads = new Map();
    for (const column of COLUMNS) {
      const cell = element("div", `cell ${column.classes}`);
      cell.setAttribute("role", "columnheader");
      if (column.of) {
        const button = element("button", "sort", column.title);
        button.type = "button";
        button.addEventListener("click", () => this.sortBy(column));
        cell.append(button);
        this.heads.set(column.key, [cell, button]);
      } else cell.append(element("span", "sort", column.title));
      top.append(cell);
    }
    const rows = element("div", "rows");
    rows.tabIndex = 0;
    rows.setAttribute("role", "rowgroup");
    rows.setAttribute("aria-label", "Experiments; arrow keys choose one");
    const text = experiments.length ? "None of them." : "None yet: helios experiment start NAME";
    this.none = element("p", "none", text);
    box.append(top, rows, this.none);
    this.list = new VirtualList(rows, 34, (each, at) => this.draw(each, at));
    rows.addEventListener("keydown", (event) => {
      const to = moved(event.key, this.list.items.indexOf(app.focus), this.list.items.length, 8);
      if (event.key === "Escape") app.setFocus(null);
      else if (to !== null && this.list.items.length) app.setFocus(this.list.items[to]);
      else return;
      event.preventDefault();
      if (app.focus) this.list.reveal(this.list.items.indexOf(app.focus));
    });
  }

  sortBy(column) {
    this.order = this.sort === column.key ? -this.order : 1;
    this.sort = column.key;
    this.app.drawTable();
  }

  set(chosen) {
    const column = COLUMNS.find((each) => each.key === this.sort);
    const missing = (each) => column.of(each) === null;
    const up = column.text || (column.score && minimized.has(this.app.metric)) ? 1 : -1;
    const compare = (a, b) => {
      const [x, y] = [column.of(a), column.of(b)];
      return (x < y ? -1 : x > y ? 1 : 0) * up * this.order || a.at - b.at;
    };
    const having = chosen.filter((each) => !missing(each)).sort(compare);
    for (const [key, [cell, button]] of this.heads) {
      const isSorted = key === this.sort;
      button.dataset.order = isSorted ? String(this.order) : "0";
      cell.setAttribute("aria-sort", isSorted ? (this.order * up > 0 ? "ascending" : "descending") : "none");
    }
    this.list.box.style.height = `${Math.min(chosen.length, 10) * 34}px`;
    this.none.hidden = chosen.length > 0;
    this.list.set([...having, ...chosen.filter(missing)]);
  }

  draw(each, at) {
    const row = element("div", "row");
    row.setAttribute("role", "row");
    row.setAttribute("aria-rowindex", String(at + 2));
    row.setAttribute("aria-selected", String(this.app.focus === each));
    const cell = (classes, ...children) => {
      const made = element("div", `cell ${classes}`, ...children);
      made.setAttribute("role", "cell");
      row.append(made);
      return made;
    };
    const name = cell("name", element("span", `dot c${each.color}`), show(element("span"), each.name));
    name.title = plain(each.name);
    cell("standing", element("span", `state ${each.state}`, each.state));
    cell("right more", each.commits.length.toLocaleString("en"));
    cell("right", each.bestText ?? "–");
    cell("right last", each.lastText ?? "–");
    cell("spark").append(this.spark(each));
    const started = cell("right more", `${ago(each.started)} ago`);
    started.title = moment(each.started);
    row.addEventListener("click", () => this.app.setFocus(this.app.focus === each ? null : each));
    return row;
  }

  spark(each) {
    const values = each.scored.map((commit) => valueOf(commit.scores[this.app.metric]));
    const svg = drawing("svg", { class: `c${each.color}`, viewBox: "0 0 100 20", preserveAspectRatio: "none", "aria-hidden": "true" });
    if (values.length < 2) return svg;
    const low = values.reduce((a, b) => Math.min(a, b));
    const span = values.reduce((a, b) => Math.max(a, b)) - low || 1;
    let best = values[0];
    let path = "";
    values.forEach((value, at) => {
      if (isBetter(value, best, this.app.metric)) best = value;
      const [x, y] = [(at / (values.length - 1)) * 100, 18 - ((best - low) / span) * 16];
      path += at ? `H${x.toFixed(1)}V${y.toFixed(1)}` : `M0 ${y.toFixed(1)}`;
    });
    svg.append(drawing("path", { d: path }));
    return svg;
  }
}
