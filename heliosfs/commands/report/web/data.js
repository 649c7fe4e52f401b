// The report's data as a model: commits, experiments, and what is derived from them.

const raw = JSON.parse(document.getElementById("report").textContent);
const NOW = raw.made;

// Text of others is shown by textContent only, and what cannot be seen is made visible: control
// characters, lone surrogates, and marks that change the direction or have no width.
const ODD = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

function element(name, classes, ...children) {
  const made = document.createElement(name);
  if (classes) made.className = classes;
  for (const child of children) if (child !== null && child !== undefined) made.append(child);
  return made;
}

function drawing(name, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const key in attributes) made.setAttribute(key, attributes[key]);
  made.append(...children);
  return made;
}

function plain(text) {
  return text.replace(ODD, (odd) => `<U+${odd.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}>`);
}

function show(into, text) {
  let from = 0;
  for (const found of text.matchAll(ODD)) {
    into.append(text.slice(from, found.index), element("span", "odd", plain(found[0]).slice(1, -1)));
    from = found.index + found[0].length;
  }
  into.append(text.slice(from));
  return into;
}

function valueOf(text) {
  const at = text.indexOf("/");
  return at < 0 ? Number(text) : Number(text.slice(0, at)) / Number(text.slice(at + 1));
}

function shellWord(text) {
  if (/^[\w./@%+=:,-]+$/.test(text)) return text;
  return text.search(ODD) >= 0 ? null : `'${text.replaceAll("'", "'\\''")}'`;
}

function ago(seconds) {
  const span = Math.max(0, NOW - seconds);
  for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
    if (span >= size) return `${Math.floor(span / size)} ${unit}`;
  }
  return `${span} s`;
}

function moment(seconds) {
  const at = new Date(seconds * 1000);
  const two = (n) => String(n).padStart(2, "0");
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

function count(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

const experiments = raw.experiments.map((each, at) => ({ ...each, at, commits: [], color: 8 }));
const commits = raw.commits.map(([id, time, parents, subject, author, experiment, scores, chunk], at) => ({
  at, id, time, parents, subject, scores, chunk, children: 0, refs: [],
  author: raw.authors[author], experiment: experiments[experiment] ?? null, order: 0,
}));
for (const commit of commits) {
  for (const parent of commit.parents) if (parent >= 0) commits[parent].children += 1;
}
for (const each of experiments) {
  each.commits = each.own.map((at) => commits[at]);
  each.commits.forEach((commit, at) => { commit.order = at + 1; });
}
for (const ref of raw.refs) if (ref.commit >= 0) commits[ref.commit].refs.push(ref);

const metrics = new Map();
for (const commit of commits) {
  for (const metric in commit.scores) metrics.set(metric, (metrics.get(metric) ?? 0) + 1);
}
const minimized = new Set(experiments.flatMap((each) => each.minimize));

function isBetter(value, than, metric) {
  return minimized.has(metric) ? value < than : value > than;
}

// Newest first, no commit above its children; of those that may come, the one made last.
function inOrder(chosen) {
  const set = new Set(chosen);
  const waiting = new Map();
  for (const commit of chosen) {
    for (const parent of new Set(commit.parents)) {
      const found = commits[parent];
      if (found && set.has(found)) waiting.set(found, (waiting.get(found) ?? 0) + 1);
    }
  }
  const later = (a, b) => a.time - b.time || b.at - a.at;
  const heap = [];
  const push = (item) => {
    let at = heap.push(item) - 1;
    while (at > 0) {
      const up = (at - 1) >> 1;
      if (later(heap[at], heap[up]) <= 0) break;
      [heap[at], heap[up]] = [heap[up], heap[at]];
      at = up;
    }
  };
  const pop = () => {
    const first = heap[0];
    const last = heap.pop();
    if (!heap.length) return first;
    heap[0] = last;
    for (let at = 0; ;) {
      let down = 2 * at + 1;
      if (down >= heap.length) break;
      if (down + 1 < heap.length && later(heap[down + 1], heap[down]) > 0) down += 1;
      if (later(heap[down], heap[at]) <= 0) break;
      [heap[at], heap[down]] = [heap[down], heap[at]];
      at = down;
    }
    return first;
  };
  for (const commit of chosen) if (!waiting.has(commit)) push(commit);
  const ordered = [];
  while (heap.length) {
    const commit = pop();
    ordered.push(commit);
    for (const parent of new Set(commit.parents)) {
      const found = commits[parent];
      if (!found || !set.has(found)) continue;
      waiting.set(found, waiting.get(found) - 1);
      if (!waiting.get(found)) push(found);
    }
  }
  return ordered;
}
