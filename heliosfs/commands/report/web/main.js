// What is chosen, and who is told.

const COLORS = 8;

class App {
  constructor() {
    this.chosen = null;
    this.focus = null;
    this.axis = "time";
    this.filter = "";
    this.state = "all";
    const names = [...metrics.keys()].sort((a, b) => metrics.get(b) - metrics.get(a) || (a < b ? -1 : 1));
    this.metric = metrics.has("score") ? "score" : names[0] ?? "score";
    this.fillControls(names);
    this.summarize();
    this.chart = new Chart(document.getElementById("chart"), this);
    this.table = new Table(document.getElementById("table"), this);
    this.graph = new Graph(document.getElementById("graph"), this);
    this.detail = new Detail(document.getElementById("detail"), this);
  }

  fillControls(names) {
    const select = document.getElementById("metric");
    for (const name of names.length ? names : ["score"]) select.append(new Option(plain(name), name));
    select.value = this.metric;
    select.addEventListener("change", () => { this.metric = select.value; this.summarize(); this.drawAll(); });
    document.getElementById("axis").addEventListener("change", (event) => { this.axis = event.target.value; this.chart.draw(); });
    const states = document.getElementById("states");
    for (const name of ["all", ...new Set(experiments.map((each) => each.state))]) {
      const input = element("input");
      Object.assign(input, { type: "radio", name: "state", value: name, checked: name === "all" });
      states.append(element("label", "", input, element("span", "", name)));
    }
    states.addEventListener("change", (event) => { this.state = event.target.value; this.drawAll(); });
    const filter = document.getElementById("filter");
    let waiting = 0;
    filter.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => { this.filter = filter.value.trim().toLowerCase(); this.drawAll(); }, 60);
    });
    document.getElementById("theme").addEventListener("click", () => {
      const { documentElement: root } = document;
      const isDark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
      root.dataset.theme = isDark ? "light" : "dark";
    });
    document.addEventListener("keydown", (event) => {
      const isTyping = event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement;
      if (event.key === "/" && !isTyping) {
        event.preventDefault();
        filter.focus();
      } else if (event.key === "Escape") {
        if (isTyping) document.getElementById("graph").focus();
        else if (this.focus) this.setFocus(null);
      }
    });
  }

  // Best and last of each experiment by the metric, and colours for the best of them.
  summarize() {
    const { metric } = this;
    for (const each of experiments) {
      each.scored = each.commits.filter((commit) => metric in commit.scores);
      let best = null;
      for (const commit of each.scored) {
        const value = valueOf(commit.scores[metric]);
        if (best === null || isBetter(value, valueOf(best.scores[metric]), metric)) best = commit;
      }
      const last = each.scored.at(-1);
      Object.assign(each, {
        bestCommit: best, bestText: best?.scores[metric], lastText: last?.scores[metric],
        best: best ? valueOf(best.scores[metric]) : null, last: last ? valueOf(last.scores[metric]) : null,
      });
    }
    const worth = (each) => (minimized.has(metric) ? each.best : -each.best);
    const ranked = experiments.filter((each) => each.bestCommit).sort((a, b) => worth(a) - worth(b) || a.at - b.at);
    const rest = experiments.filter((each) => !each.bestCommit);
    [...ranked, ...rest].forEach((each, at) => { each.color = Math.min(at, COLORS); });
    this.ranked = ranked;
  }

  matches(text) {
    return text.toLowerCase().includes(this.filter);
  }

  isShown(each) {
    return this.state === "all" || each.state === this.state;
  }

  shownExperiments() {
    return experiments.filter((each) => this.isShown(each) && (!this.filter || this.matches(each.name) || this.matches(each.branch ?? "")
      || each.commits.some((commit) => this.matchesCommit(commit))));
  }

  matchesCommit(commit) {
    return commit.id.startsWith(this.filter) || this.matches(commit.subject) || this.matches(commit.author)
      || commit.refs.some((ref) => this.matches(ref.name));
  }

  shownCommits() {
    if (!this.filter && !this.focus && this.state === "all") return commits;
    return commits.filter((commit) => {
      const { experiment } = commit;
      if (this.focus && experiment !== this.focus) return false;
      if (this.state !== "all" && (!experiment || !this.isShown(experiment))) return false;
      return !this.filter || (experiment && this.matches(experiment.name)) || this.matchesCommit(commit);
    });
  }

  series() {
    const shown = new Set(this.shownExperiments());
    const made = this.ranked.filter((each) => shown.has(each))
      .map((each) => ({ experiment: each, color: each.color, commits: each.scored })).reverse();
    const others = commits.filter((each) => !each.experiment && this.metric in each.scores && (!this.filter || this.matchesCommit(each)));
    if (others.length && this.state === "all") made.unshift({ experiment: null, color: 8, commits: others });
    return made;
  }

  drawLegend() {
    const box = document.getElementById("legend");
    const shown = new Set(this.shownExperiments());
    const drawn = this.ranked.filter((each) => shown.has(each));
    const named = drawn.filter((each) => each.color < COLORS || each === this.focus);
    box.replaceChildren(...named.map((each) => {
      const key = element("button", "key", element("span", `dot c${each.color}`), show(element("span"), each.name));
      key.type = "button";
      key.title = plain(each.name);
      key.setAttribute("aria-pressed", String(this.focus === each));
      key.addEventListener("click", () => this.setFocus(this.focus === each ? null : each));
      return key;
    }));
    const rest = drawn.length - named.length;
    if (rest) box.append(element("span", "key", element("span", "dot c8"), element("span", "", `${rest.toLocaleString("en")} more`)));
  }

  drawTiles() {
    const tile = (what, number, rest, commit) => {
      const made = element(commit ? "button" : "div", "tile", element("div", "what", what), element("div", "number", number), show(element("div", "rest"), rest));
      if (commit) {
        made.type = "button";
        made.addEventListener("click", () => this.choose(commit));
      }
      return made;
    };
    const states = ["running", "finished", "abandoned"].map((name) => [experiments.filter((each) => each.state === name).length, name]);
    const told = states.filter(([number]) => number).map(([number, name]) => `${number.toLocaleString("en")} ${name}`).join(", ");
    const scored = commits.filter((each) => Object.keys(each.scores).length).length;
    const own = experiments.reduce((sum, each) => sum + each.commits.length, 0);
    const top = this.ranked[0];
    document.getElementById("tiles").replaceChildren(
      tile(`Best ${plain(this.metric)}${minimized.has(this.metric) ? ", lowest" : ""}`, top?.bestText ?? "–", top ? `${top.name}: ${top.bestCommit.subject}` : "nothing recorded yet", top?.bestCommit),
      tile("Experiments", experiments.length.toLocaleString("en"), told || "helios experiment start NAME"),
      tile("Commits", commits.length.toLocaleString("en"), `${own.toLocaleString("en")} in experiments`),
      tile("With numbers", scored.toLocaleString("en"), `${metrics.size === 1 ? "1 metric" : `${metrics.size} metrics`}: ${[...metrics.keys()].slice(0, 4).join(", ") || "none yet"}`),
    );
  }

  drawTable() {
    const shown = this.shownExperiments();
    document.getElementById("table-count").textContent = shown.length === experiments.length ? "" : `${shown.length} of ${experiments.length}`;
    this.table.set(shown);
  }

  drawAll() {
    this.drawTiles();
    this.drawLegend();
    this.chart.draw();
    this.drawTable();
    this.drawGraph();
  }

  drawGraph() {
    const shown = this.shownCommits();
    this.graph.set(shown);
    document.getElementById("graph-count").textContent = shown.length === commits.length ? count(shown.length, "commit") : `${shown.length.toLocaleString("en")} of ${count(commits.length, "commit")}`;
    const chips = document.getElementById("chips");
    chips.replaceChildren();
    if (this.focus) {
      const chip = element("button", "chip", element("span", `dot c${this.focus.color}`), show(element("span"), this.focus.name), "×");
      chip.type = "button";
      chip.setAttribute("aria-label", "show all experiments");
      chip.addEventListener("click", () => this.setFocus(null));
      chips.append(chip);
    }
    if (this.chosen) this.graph.choose(this.chosen);
  }

  setFocus(experiment) {
    this.focus = experiment;
    this.drawLegend();
    this.chart.draw();
    this.table.list.redraw();
    this.drawGraph();
  }

  choose(commit) {
    if (this.focus && commit.experiment !== this.focus) this.setFocus(null);
    this.chosen = commit;
    this.graph.choose(commit);
    this.chart.mark();
    this.detail.draw(commit);
    history.replaceState(null, "", `#${commit.id}`);
  }
}

function begin() {
  const app = new App();
  const where = raw.branch === null ? "detached HEAD" : raw.branch;
  const { path = "" } = raw;
  const project = path.split("/").filter(Boolean).at(-1) ?? path;
  const place = path ? `${path} · ` : "";
  const subtitle = document.getElementById("subtitle");
  show(subtitle, `${place}${where} at the mount point, as of ${moment(NOW)}`);
  subtitle.title = plain(path);
  const heading = document.getElementById("project");
  if (project) heading.replaceChildren();
  show(heading, project);
  document.title = `${project ? `${plain(project)}: ` : ""}helios report of ${plain(where)}`;
  if (raw.left_out) {
    const note = document.getElementById("graph-note");
    note.hidden = false;
    note.textContent = `The page has the newest ${count(commits.length, "commit")}; there are more: helios log shows them all.`;
  }
  app.drawAll();
  const wanted = location.hash.slice(1);
  const named = wanted.length >= 4 ? commits.find((each) => each.id.startsWith(wanted) || wanted.startsWith(each.id)) : null;
  const first = named ?? app.ranked[0]?.bestCommit ?? app.graph.rows[0]?.commit ?? null;
  if (first) app.choose(first);
  else app.detail.draw(null);
  document.documentElement.dataset.ready = "yes";
}

begin();
