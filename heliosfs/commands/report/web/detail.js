// The chosen commit: what it is, how to get there, and what it changed.

const chunks = new Map();

// Messages and diffs lie compressed in the page, many to a chunk, and are unpacked when asked for.
async function unpack(number) {
  if (!chunks.has(number)) {
    chunks.set(number, (async () => {
      const bytes = Uint8Array.from(atob(raw.chunks[number]), (each) => each.charCodeAt(0));
      const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
      return JSON.parse(await new Response(stream).text());
    })());
  }
  return chunks.get(number);
}

async function detailOf(commit) {
  if (commit.chunk < 0 || typeof DecompressionStream === "undefined") return null;
  return (await unpack(commit.chunk))[commit.id] ?? null;
}

async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = element("textarea", "hidden");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    button.focus();
  }
  button.textContent = "copied";
  setTimeout(() => { button.textContent = "copy"; }, 1200);
}

function command(text) {
  const button = element("button", "copy", "copy");
  button.type = "button";
  button.setAttribute("aria-label", `copy ${text}`);
  button.addEventListener("click", () => copy(text, button));
  return element("div", "command", element("code", "", text), button);
}

function commandsFor(commit) {
  const lines = [`helios checkout ${commit.id}`, `cd .helios/snapshots/${commit.id}`];
  const parent = commits[commit.parents[0]];
  lines.push(parent ? `helios diff ${parent.id} ${commit.id}` : `helios show ${commit.id}`);
  lines.push(`helios merge ${commit.id}`);
  const name = commit.experiment && shellWord(commit.experiment.name);
  if (name) lines.push(`helios experiment show ${name}`);
  return lines.map(command);
}

function scoreTiles(commit) {
  const box = element("div", "scores");
  const parent = commits[commit.parents[0]];
  for (const metric of Object.keys(commit.scores).sort()) {
    const text = commit.scores[metric];
    const value = element("strong", "", text);
    const before = parent?.scores[metric];
    const made = element("div", "", element("small", "", metric), value);
    if (before !== undefined) {
      const difference = valueOf(text) - valueOf(before);
      const kind = difference === 0 ? "" : isBetter(valueOf(text), valueOf(before), metric) ? "good" : "bad";
      made.append(element("em", kind, `${difference < 0 ? "−" : "+"}${Number(Math.abs(difference).toPrecision(3))}`));
      made.title = `its parent has ${before}`;
    }
    box.append(made);
  }
  return box;
}

function drawDiff(text) {
  const box = element("div", "diff");
  box.tabIndex = 0;
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", "Diff to the parent");
  let inHunk = false;
  for (const line of text.replace(/\n$/, "").split("\n")) {
    let kind = "";
    let shown = line;
    if (line.startsWith("diff --git ")) {
      inHunk = false;
      kind = "file";
      const [, before, after] = /^a\/(.*) b\/(.*)$/.exec(line.slice(11)) ?? [];
      shown = before !== undefined && before === after ? before : line.slice(11);
    } else if (line.startsWith("@@")) {
      inHunk = true;
      kind = "hunk";
    } else if (!inHunk || line.startsWith("\\")) kind = "meta";
    else if (line.startsWith("+")) kind = "add";
    else if (line.startsWith("-")) kind = "del";
    box.append(show(element("div", kind), shown || " "));
  }
  return box;
}

class Detail {
  constructor(box, app) {
    this.box = box;
    this.app = app;
  }

  link(commit) {
    const button = element("button", "link mono", commit.id);
    button.type = "button";
    button.title = plain(commit.subject);
    button.addEventListener("click", () => this.app.choose(commit));
    return button;
  }

  facts(commit) {
    const list = element("dl", "facts");
    const fact = (name, ...values) => list.append(element("dt", "", name), element("dd", "", ...values));
    fact("commit", element("code", "", commit.id));
    if (commit.experiment) {
      const name = element("button", "link");
      name.type = "button";
      name.addEventListener("click", () => this.app.setFocus(commit.experiment));
      fact("experiment", show(name, commit.experiment.name), ` (commit ${commit.order} of ${commit.experiment.commits.length})`);
      for (const [key, value] of Object.entries(commit.experiment.parameters)) {
        const cell = element("dd");
        list.append(show(element("dt"), key), show(cell, value));
      }
    }
    const author = element("dd");
    list.append(element("dt", "", "author"), show(author, commit.author));
    fact("made", `${moment(commit.time)}, ${ago(commit.time)} ago`);
    const parents = commit.parents.filter((at) => at >= 0).map((at) => this.link(commits[at]));
    const others = commit.parents.length - parents.length;
    const between = parents.flatMap((each, at) => (at ? [" ", each] : [each]));
    if (others) between.push(` ${others} not in this page`);
    fact(commit.parents.length === 1 ? "parent" : "parents", ...(between.length ? between : ["none"]));
    return list;
  }

  async draw(commit) {
    const { box } = this;
    box.replaceChildren();
    if (!commit) {
      box.append(element("div", "empty", "Choose a commit in the chart or in the list."));
      return;
    }
    box.scrollTop = 0;
    box.append(show(element("div", "subject"), commit.subject || "(no message)"));
    if (commit.refs.length) box.append(element("div", "refs", ...commit.refs.map(refBadge)));
    box.append(this.facts(commit));
    if (Object.keys(commit.scores).length) box.append(element("h3", "", "Scores"), scoreTiles(commit));
    box.append(element("h3", "", "Get there, in the workspace"), ...commandsFor(commit));
    const rest = element("div");
    box.append(rest);
    let found = null;
    try {
      found = await detailOf(commit);
    } catch (error) {
      rest.append(element("p", "note", `The diff cannot be unpacked: ${error.message}`));
    }
    if (this.app.chosen !== commit) return;
    if (found?.body) rest.append(element("h3", "", "Message"), show(element("div", "body"), found.body));
    if (found?.metadata) {
      const list = element("dl", "facts");
      for (const [key, value] of Object.entries(found.metadata)) list.append(show(element("dt"), key), show(element("dd"), value));
      rest.append(element("h3", "", "Metadata"), list);
    }
    const title = commit.parents.length ? "Diff to its parent" : "What it began with";
    rest.append(element("h3", "", title));
    if (found?.diff) rest.append(drawDiff(found.diff));
    else if (found) rest.append(element("p", "body", "Nothing but what a diff does not show."));
    if (found?.remark) rest.append(element("p", "note", found.remark), command(`helios show ${commit.id}`));
    if (!found) rest.append(element("p", "body", "Not in this page, which has a bounded number of them. It is here:"), command(`helios show ${commit.id}`));
    box.dataset.ready = commit.id;
  }
}
