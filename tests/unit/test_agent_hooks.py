"""`hook` and `rewind`: what the clients of agents tell, and the commits that are made of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from heliosfs.commands.agent_trace import trace_of
from heliosfs.commands.agents.payload import MOMENTS, HookMoment, read_payload, text_at
from heliosfs.commands.commit import commit_message
from heliosfs.errors import Busy, NotFound, StoreFull, UsageError
from heliosfs.objects.commit import Commit
from heliosfs.objects.ids import CommitId, Oid
from heliosfs.vfs.control import PAYLOAD_KEPT_BYTES, ErrorLog, HookChannel
from tests.tree_builder import Stage

DATA = Path(__file__).parents[1] / "data/agents"
CLIENTS = ("claude", "codex", "gemini", "qwen", "copilot")


class Session:
    """A client's session: its payloads, as they were recorded, sent to the hook of a workspace."""

    def __init__(self, client: str = "claude", stage: Stage | None = None) -> None:
        self.client = client
        self.stage = stage or Stage()
        self.payloads = [
            json.loads(line) for line in (DATA / f"{client}.jsonl").read_text().splitlines()
        ]

    def tell(self, event: str, branch: str | None = None, **members: object) -> str:
        """Run a hook, with other members than the recorded payload has."""
        name, payload = self.recorded(event)
        argv = ["hook", name, "--client", self.client, "--payload", json.dumps(payload | members)]
        return self.stage.run(*argv, branch=branch)

    def recorded(self, event: str) -> tuple[str, dict[str, object]]:
        for payload in self.payloads:
            name = payload.get("event") or payload["hook_event_name"]
            if name == event:
                return name, {key: payload[key] for key in payload if key != "event"}
        raise LookupError(event)

    def event_of(self, moment: HookMoment) -> str:
        """The first event of the client for a moment."""
        for payload in self.payloads:
            name: str = payload.get("event") or payload["hook_event_name"]
            if MOMENTS[name] is moment:
                return name
        raise LookupError(moment)

    @property
    def commits(self) -> list[Commit]:
        """The commits of the branch, the newest first."""
        found, oid = [], self.stage.view.head
        while oid is not None:
            found.append(self.stage.repository.history.read(oid))
            oid = found[-1].parents[0] if found[-1].parents else None
        return found

    @property
    def subjects(self) -> list[str]:
        return [commit.subject for commit in self.commits]


@pytest.fixture
def session() -> Session:
    return Session()


@pytest.mark.parametrize("client", CLIENTS)
def test_a_session_of_each_client(client: str) -> None:
    session = Session(client)
    files = session.stage.files
    files.write(b"a", b"by the user\n")
    answer = json.loads(session.tell(session.event_of(HookMoment.START)))
    text = answer.get("additionalContext") or answer["hookSpecificOutput"]["additionalContext"]
    assert len(text.splitlines()) == 3
    assert "helios rewind 1" in text
    assert session.tell(session.event_of(HookMoment.PROMPT)) == ""
    files.write(b"parser.py", b"by a shell\n")
    assert session.tell(session.event_of(HookMoment.TOOLS)) == ""
    files.write(b"late", b"in the background\n")
    stop = {"Stop", "AfterAgent", "agentStop"} & {
        payload.get("event") or payload["hook_event_name"] for payload in session.payloads
    }
    assert session.tell(stop.pop()) == ""
    files.write(b"later", b"in the background\n")
    session.tell("sessionEnd" if client == "copilot" else "SessionEnd")
    assert len(session.commits) == 4
    last, done, tools, before = session.commits
    assert before.subject == "before: Add a parser"
    assert tools.subject in {"Write, Bash", "Bash", "run_shell_command", "write_file", "bash"}
    assert done.subject in {"## Done", "The parser is there.", "after: Add a parser"}
    for commit in (before, tools, done, last):
        assert commit.metadata["agent"] == client
        assert commit.metadata["session"] == text_at(session.payloads[0], "session_id", "sessionId")
        assert commit.metadata["prompt"] == "Add a parser"
        assert commit.metadata["turn"] == before.metadata["turn"]
    # Nothing changed since: every event again makes no commit.
    for payload in session.payloads:
        name = payload.get("event") or payload["hook_event_name"]
        if "Worktree" not in name and MOMENTS[name] is not HookMoment.START:
            assert session.tell(name) == ""
    assert len(session.commits) == 4


@pytest.mark.parametrize("client", CLIENTS)
def test_every_recorded_event_has_a_meaning(client: str) -> None:
    names = {each.get("event") or each["hook_event_name"] for each in Session(client).payloads}
    assert names <= MOMENTS.keys()
    assert {MOMENTS[name] for name in names} >= {
        HookMoment.START,
        HookMoment.PROMPT,
        HookMoment.TOOLS,
        HookMoment.STOP,
    }


def test_a_subagent_is_named(session: Session) -> None:
    session.tell("UserPromptSubmit")
    session.stage.files.write(b"b.py", b"2")
    session.tell("SubagentStop")
    assert session.subjects[0] == "Changed b.py."
    assert session.commits[0].metadata["subagent"] == "general-purpose a3f9c1d2e"
    assert session.commits[0].metadata["prompt"] == "Add a parser"


def test_an_event_that_means_nothing_here(session: Session) -> None:
    session.stage.files.write(b"a", b"x")
    assert session.stage.run("hook", "PreCompact", "--payload", "{}") == ""
    assert session.stage.view.head is None
    with pytest.raises(UsageError):
        session.stage.run("hook")


@pytest.mark.parametrize("text", ["", "no JSON", "[1]", "null", '{"prompt": 7, "session_id": []}'])
def test_a_payload_that_says_nothing(session: Session, text: str) -> None:
    session.stage.files.write(b"a", b"x")
    assert session.stage.run("hook", "UserPromptSubmit", "--payload", text) == ""
    assert session.subjects == ["before: a prompt"]


def test_a_payload_whose_end_is_missing_says_what_it_can() -> None:
    whole = {"session_id": "s", "prompt": 'say "ä\\u00e4" \\ twice', "tool_calls": [{"a": [1]}, 2]}
    text = json.dumps(whole)
    for end in range(len(text)):
        found = read_payload(text[:end])
        assert found.keys() <= whole.keys()
        for key in ("session_id", "prompt"):
            said = found.get(key, "")
            assert isinstance(said, str)
            assert whole[key].startswith(said)  # type: ignore[attr-defined]
    assert read_payload(text) == whole
    assert read_payload("[" * 100_000) == {}
    assert read_payload('{"a":' * 100_000) == {}


def test_words_that_no_commit_can_have(session: Session) -> None:
    session.stage.files.write(b"a", b"x")
    session.tell("UserPromptSubmit", prompt="\n\x1b[31m \0red \ud800 " + "long " * 100)
    [commit] = session.commits
    assert commit.metadata["prompt"].startswith("[31m red long")
    assert len(commit.subject) <= 72
    assert commit.subject.startswith("before: [31m red long")


def test_an_open_merge_is_left_alone(session: Session) -> None:
    stage = session.stage
    stage.commit("base", a=b"1\n")
    stage.run("branch", "other")
    stage.live("other").write(b"a", b"2\n")
    stage.run("commit", "-q", "-m", "theirs", branch="other")
    stage.commit("ours", a=b"3\n")
    stage.run("merge", "--markers", "other")
    session.tell("UserPromptSubmit")
    session.tell("Stop")
    assert session.subjects == ["ours", "base"]


def test_who_made_it(session: Session) -> None:
    stage = session.stage
    stage.files.write(b"a", b"by the user\n")
    session.tell("UserPromptSubmit", prompt="Add a parser", prompt_id="one")
    stage.files.write(b"a", b"by the user\nby the agent\n")
    session.tell("PostToolBatch", prompt_id="one")
    stage.files.write(b"a", b"by the user\nby the agent\ninterrupted\n")
    session.tell("UserPromptSubmit", prompt="Go on", prompt_id="two")
    stage.files.write(b"a", b"by the user\nby the agent\ninterrupted\nby a subagent\n")
    session.tell("SubagentStop", prompt_id="two")
    session.tell("Stop", prompt_id="two")
    stage.commit("by hand", b=b"")
    lines = stage.run("log", "--agent").splitlines()
    assert [line.partition("  ")[2] for line in lines] == [
        "claude 7b0f5a52, general-purpose a3f9c1d2e  Changed b.py.  <- Go on",
        "claude 7b0f5a52   before: Go on  <- Add a parser",
        "claude 7b0f5a52   Write, Bash  <- Add a parser",
        "claude 7b0f5a52   before: Add a parser",
    ]
    assert len(stage.run("log", "--agent=subagent").splitlines()) == 0
    assert len(stage.run("log", "--agent=general-purpose").splitlines()) == 1
    assert len(stage.run("log", "--agent=PARSER", "--oneline").splitlines()) == 3
    documents = json.loads(stage.run("log", "--agent", "--json"))
    assert [each["metadata"]["event"] for each in documents] == [
        "stop",
        "prompt",
        "tools",
        "prompt",
    ]
    stage.files.write(b"a", stage.files.read(b"a") + b"not committed\n")
    blamed = [line.partition("(")[2] for line in stage.run("blame", "--agent", "a").splitlines()]
    assert [line.partition("  ")[0].partition(" 20")[0] for line in blamed] == [
        "Ada",
        "claude 7b0f5a52: Add a parser",
        "claude 7b0f5a52: Add a parser",
        "claude 7b0f5a52, general-purpose a3f9c1d2e: Go on",
        "Not Committed Yet",
    ]
    told = [each.get("by") for each in json.loads(stage.run("blame", "--json", "a"))]
    assert [each and (each["turn"], each["prompt"]) for each in told] == [
        None,
        ("one", "Add a parser"),
        ("one", "Add a parser"),
        ("two", "Go on"),
        None,
    ]
    assert "claude" not in stage.run("blame", "a")


def test_what_is_staged_and_what_is_not_are_committed(session: Session) -> None:
    stage = session.stage
    stage.commit("base", a=b"1\n")
    stage.files.write(b"a", b"2\n")
    stage.run("add", "a")
    stage.files.write(b"b", b"2\n")
    session.tell("UserPromptSubmit")
    assert stage.run("status", "--short") == ""
    assert stage.run("show", "HEAD:b") == "2\n"


def test_the_first_prompt_of_an_empty_workspace_has_a_way_back(session: Session) -> None:
    session.tell("UserPromptSubmit")
    session.stage.files.write(b"a", b"x")
    session.tell("Stop")
    session.stage.run("rewind", "1")
    assert session.stage.files.tree().keys() == set()


class TestRewind:
    """A session that edits through a shell alone, which no client's own rewind sees."""

    @pytest.fixture
    def done(self, session: Session) -> Session:
        files = session.stage.files
        files.write(b"kept", b"by the user\n")
        for number, prompt in enumerate(("Add a parser", "Now break it", "Look around"), 1):
            turn = {"prompt_id": f"turn-{number}"}
            session.tell("UserPromptSubmit", prompt=prompt, **turn)
            if number < 3:
                files.write(b"a", b"%d\n" % number)
                files.write(b"made %d" % number, b"")
                session.tell("PostToolBatch", **turn)
                files.write(b"b", b"%d\n" % number)
            session.tell("Stop", **turn)
        return session

    def test_the_list_has_the_prompts_that_changed_files(self, done: Session) -> None:
        rows = json.loads(done.stage.run("rewind", "--json"))
        assert [(row["number"], row["prompt"], row["commits"]) for row in rows] == [
            (1, "Now break it", 2),
            (2, "Add a parser", 2),
        ]
        assert [row["turn"] for row in rows] == ["turn-2", "turn-1"]
        first, second = done.stage.run("rewind").splitlines()
        assert first.split()[0] == "1"
        assert first.endswith("  Now break it")
        assert second.endswith("  Add a parser")
        assert len(done.stage.run("rewind", "-n", "1").splitlines()) == 2

    @pytest.mark.parametrize("words", [["1"], ["break"], ["it", "NOW"], ["now break"]])
    def test_to_before_the_last(self, done: Session, words: list[str]) -> None:
        head = done.stage.head
        reply = done.stage.run("rewind", *words)
        assert "before 'Now break it'" in reply
        assert done.stage.files.read(b"a") == b"1\n"
        assert done.stage.files.read(b"b") == b"1\n"
        assert done.stage.files.tree().keys() == {b"kept", b"a", b"b", b"made 1"}
        done.stage.run("undo")
        assert done.stage.head == head
        assert done.stage.files.read(b"b") == b"2\n"

    def test_to_before_the_first(self, done: Session) -> None:
        done.stage.files.write(b"kept", b"not committed\n")
        done.stage.run("rewind", "2")
        assert done.stage.files.tree().keys() == {b"kept"}
        assert done.stage.files.read(b"kept") == b"by the user\n"
        done.stage.run("undo")
        assert done.stage.files.read(b"kept") == b"not committed\n"

    def test_a_rewind_that_an_agent_runs_is_no_change_of_it(self, done: Session) -> None:
        done.tell("UserPromptSubmit", prompt="/helios-rewind 1", prompt_id="turn-4")
        done.stage.run("rewind", "1")
        done.tell("PostToolBatch", prompt_id="turn-4")
        done.tell("Stop", prompt_id="turn-4")
        rows = json.loads(done.stage.run("rewind", "--json"))
        assert [row["prompt"] for row in rows] == ["Add a parser"]

    def test_what_is_not_there(self, done: Session) -> None:
        head = done.stage.head
        for words in (["3"], ["0"], ["parser", "break"], ["nothing"]):
            with pytest.raises(NotFound):
                done.stage.run("rewind", *words)
        assert done.stage.head == head
        assert Stage().run("rewind") == "no agent has changed files on this branch\n"

    def test_commits_of_the_user_in_between_are_passed_over(self, done: Session) -> None:
        done.stage.commit("mine", c=b"")
        done.tell("UserPromptSubmit", prompt="More", prompt_id="turn-4")
        done.stage.files.write(b"d", b"")
        done.tell("Stop", prompt_id="turn-4")
        done.stage.run("rewind", "1")
        assert done.subjects[0] == "mine"
        done.stage.run("rewind", "1")
        assert done.stage.files.read(b"b") == b"1\n"


def test_what_the_agent_commits_by_itself_is_of_its_prompt(session: Session) -> None:
    """By the command, by a tool, by the control file: rewind finds it, and the way to before it."""
    stage = session.stage
    stage.commit("base", a=b"1\n")
    before = stage.view.head
    session.tell("UserPromptSubmit", prompt="make it fast", prompt_id="p1")
    stage.files.write(b"a", b"2\n")
    stage.run("commit", "-q", "-m", "mine", "--meta", "agent=other", "--meta", "k=v")
    stage.files.write(b"a", b"3\n")
    commit_message(stage.repository, stage.view, b"by the file")
    stage.run("commit", "-q", "--amend", "-m", "again")
    session.tell("Stop", prompt_id="p1")
    assert session.subjects == ["again", "mine", "base"]
    assert [trace.turn for each in session.commits if (trace := trace_of(each))] == ["p1", "p1"]
    assert session.commits[1].metadata["agent"] == "other"
    assert session.commits[1].metadata["k"] == "v"
    (found,) = json.loads(stage.run("rewind", "--json"))
    assert (found["prompt"], found["commits"]) == ("make it fast", 2)
    stage.files.write(b"a", b"of the user\n")
    stage.run("commit", "-q", "-m", "after the stop")
    assert trace_of(session.commits[0]) is None
    stage.run("rewind", "1")
    assert stage.view.head == before
    assert stage.files.read(b"a") == b"1\n"


def test_a_subagent_that_stops_leaves_the_prompt_open(session: Session) -> None:
    stage = session.stage
    stage.commit("base", a=b"1\n")
    session.tell("UserPromptSubmit", prompt_id="p1")
    session.tell("SubagentStop", prompt_id="p1")
    stage.files.write(b"a", b"2\n")
    stage.run("commit", "-q", "-m", "mine")
    assert trace_of(session.commits[0]) is not None
    assert "subagent" not in session.commits[0].metadata


def test_an_interrupt_is_found_by_the_prompt_that_was_interrupted(session: Session) -> None:
    files = session.stage.files
    files.write(b"a", b"0")
    session.tell("UserPromptSubmit", prompt="Do much", prompt_id="one")
    files.write(b"a", b"half")
    # Neither a batch nor a stop comes: the user interrupted the tool.
    session.tell("UserPromptSubmit", prompt="Go on", prompt_id="two")
    files.write(b"a", b"whole")
    session.tell("Stop", prompt_id="two")
    assert session.subjects == ["## Done", "before: Go on", "before: Do much"]
    middle = trace_of(session.commits[1])
    assert middle is not None
    assert (middle.cause, middle.is_made) == ("Do much", True)
    rows = json.loads(session.stage.run("rewind", "--json"))
    assert [row["prompt"] for row in rows] == ["Go on", "Do much"]
    session.stage.run("rewind", "1")
    assert files.read(b"a") == b"half"
    session.stage.run("undo")
    session.stage.run("rewind", "2")
    assert files.read(b"a") == b"0"


def test_a_prompt_without_words_is_none() -> None:
    session = Session("qwen")
    session.tell("UserPromptSubmit", prompt="Do much")
    for number in range(2):
        session.stage.files.write(b"a", b"%d" % number)
        session.tell("PostToolUse")
        session.stage.files.write(b"b", b"%d" % number)
        session.tell("UserPromptSubmit", prompt="")
    session.tell("Stop")
    assert session.subjects[:4] == ["after: Do much", "write_file"] * 2
    [row] = json.loads(session.stage.run("rewind", "--json"))
    assert (row["prompt"], row["commits"]) == ("Do much", 4)


def test_codex_tells_of_an_interrupt() -> None:
    session = Session("codex")
    session.tell("UserPromptSubmit", prompt="Do much", turn_id="one")
    session.stage.files.write(b"a", b"half")
    session.tell("Interrupt", turn_id="one")
    assert session.subjects[0] == "after: Do much"
    session.tell("UserPromptSubmit", prompt="Go on", turn_id="two")
    session.stage.run("rewind", "1")
    assert b"a" not in session.stage.files.tree()


def test_after_a_stop_changes_are_those_of_nobody(session: Session) -> None:
    session.tell("UserPromptSubmit", prompt="One", prompt_id="one")
    session.stage.files.write(b"a", b"1")
    session.tell("Stop", prompt_id="one")
    session.stage.files.write(b"a", b"by the user")
    session.tell("UserPromptSubmit", prompt="Two", prompt_id="two")
    trace = trace_of(session.commits[0])
    assert trace is not None
    assert (trace.is_before, trace.cause, trace.is_made) == (True, "", False)
    session.stage.run("rewind", "1")
    assert b"a" not in session.stage.files.tree()


def test_a_prompt_is_known_after_a_remount(session: Session) -> None:
    session.tell("UserPromptSubmit", prompt="One", prompt_id="one")
    session.stage.files.write(b"a", b"1")
    session.tell("PostToolBatch", prompt_id="one")
    session.stage.reopen()
    session.stage.files.write(b"b", b"2")
    session.tell("PostToolBatch", prompt_id="one")
    assert session.commits[0].metadata["prompt"] == "One"
    [row] = json.loads(session.stage.run("rewind", "--json"))
    assert row["commits"] == 2


def test_a_prompt_that_nobody_told_of_is_no_other_one(session: Session) -> None:
    session.tell("UserPromptSubmit", prompt="One", prompt_id="one")
    session.stage.files.write(b"a", b"1")
    session.tell("Stop", prompt_id="one")
    session.stage.files.write(b"a", b"2")
    session.tell("PostToolBatch", prompt_id="two")
    assert "prompt" not in session.commits[0].metadata
    rows = json.loads(session.stage.run("rewind", "--json"))
    assert [(row["turn"], row["prompt"]) for row in rows] == [("two", ""), ("one", "One")]
    assert "(a prompt that is not known)" in session.stage.run("rewind")


def test_work_in_the_background_leaves_a_prompt_open(session: Session) -> None:
    session.tell("UserPromptSubmit", prompt="One", prompt_id="one")
    session.tell("Stop", prompt_id="one", background_tasks=[{"id": "a", "type": "subagent"}])
    session.stage.files.write(b"a", b"1")
    session.tell("UserPromptSubmit", prompt="Two", prompt_id="two")
    [row] = json.loads(session.stage.run("rewind", "--json"))
    assert row["prompt"] == "One"


class TestWorktrees:
    """Branches for worktrees."""

    def test_a_worktree_is_a_fork(self, session: Session) -> None:
        session.stage.commit("base", a=b"1\n")
        session.stage.files.write(b"a", b"2\n")
        reply = session.tell("WorktreeCreate")
        assert reply == ".helios/branches/agent-a3f9c1d2\n"
        assert session.stage.live("agent-a3f9c1d2").read(b"a") == b"2\n"
        assert session.subjects == ["before: worktree agent-a3f9c1d2", "base"]
        assert session.tell("WorktreeCreate") == reply

    def test_one_that_is_fresh_has_ignored_files_and_no_changes(self, session: Session) -> None:
        session.stage.files.write(b".heliosignore", b".env\n")
        session.stage.files.write(b".env", b"secret\n")
        session.stage.commit("base", a=b"1\n")
        session.stage.files.write(b"a", b"2\n")
        session.stage.files.write(b".claude/settings.json", b'{"worktree": {"baseRef": "fresh"}}')
        session.tell("WorktreeCreate", name="fresh")
        assert session.subjects == ["base"]
        assert session.stage.live("fresh").read(b".env") == b"secret\n"
        assert session.stage.live("fresh").read(b"a") == b"1\n"
        session.stage.files.write(
            b".claude/settings.local.json", b'{"worktree": {"baseRef": "head"}}'
        )
        session.tell("WorktreeCreate", name="forked")
        assert session.stage.live("forked").read(b".env") == b"secret\n"
        assert session.stage.live("forked").read(b"a") == b"2\n"

    def test_names_that_cannot_be(self, session: Session) -> None:
        session.stage.commit("base", a=b"1\n")
        for name in ("", "a b", "../x", "-x"):
            with pytest.raises(UsageError):
                session.tell("WorktreeCreate", name=name)
        with pytest.raises(Busy):
            session.tell("WorktreeCreate", name="main")

    def test_one_without_work_is_removed(self, session: Session) -> None:
        session.stage.commit("base", a=b"1\n")
        session.stage.files.write(b"a", b"2\n")
        session.tell("WorktreeCreate")
        for _ in range(2):
            assert session.tell("WorktreeRemove") == ""
            assert session.stage.repository.refs.find("agent-a3f9c1d2") is None

    def test_one_with_work_is_kept_and_told(self, session: Session) -> None:
        session.stage.commit("base", a=b"1\n")
        session.tell("WorktreeCreate")
        session.stage.live("agent-a3f9c1d2").write(b"a", b"3\n")
        told = json.loads(session.tell("WorktreeRemove"))["systemMessage"]
        assert "'helios merge agent-a3f9c1d2'" in told
        session.tell("Stop", branch="agent-a3f9c1d2")
        assert "commits" in json.loads(session.tell("WorktreeRemove"))["systemMessage"]
        session.stage.run("merge", "agent-a3f9c1d2")
        assert session.tell("WorktreeRemove") == ""

    def test_a_hook_acts_where_the_agent_is(self, session: Session) -> None:
        session.stage.repository.path = "/home/user/ws"
        session.stage.commit("base", a=b"1\n")
        session.tell("WorktreeCreate", name="deep/er")
        session.stage.live("deep/er").write(b"b", b"")
        inside = {"cwd": "/home/user/ws/.helios/live/deep/er/src"}
        session.tell("PostToolBatch", **inside)
        assert session.subjects == ["base"]
        assert session.stage.run("log", "--oneline", branch="deep/er").count("\n") == 2
        elsewhere = {"cwd": "/other/ws/.helios/live/deep/er"}
        session.stage.files.write(b"c", b"")
        session.tell("PostToolBatch", **elsewhere)
        assert session.subjects == ["Write, Bash", "base"]


class TestChannel:
    """`ctl/hook`: what a client writes comes through whole, however long it is."""

    def channel(self, stage: Stage) -> HookChannel:
        return HookChannel(ErrorLog(), stage.repository, lambda: stage.view, lambda: "usage\n")

    def send(self, stage: Stage, *parts: bytes) -> str:
        channel = self.channel(stage)
        for part in parts:
            assert channel.write(part) == []
        for request in channel.finish():
            assert request.barrier
            channel.answer(request.run())
        assert channel.finish() == []
        return channel.read(100_000).decode()

    def test_in_pieces(self) -> None:
        stage = Stage()
        stage.files.write(b"a", b"x")
        text = json.dumps({"session_id": "s", "prompt": "über alles"}, ensure_ascii=False).encode()
        at = text.index(b"\xc3") + 1
        line = b"UserPromptSubmit --client claude\n"
        assert self.send(stage, line, text[:at], text[at:]) == ""
        assert "before: über alles" in stage.run("log")

    def test_a_payload_of_megabytes(self) -> None:
        stage = Stage()
        stage.files.write(b"a", b"x")
        call = {"tool_name": "Write", "tool_input": {"content": "y" * 3_000_000}}
        text = json.dumps({"session_id": "s", "tool_calls": [{"tool_name": "Read"}, call]}).encode()
        parts = [text[at : at + 131072] for at in range(0, len(text), 131072)]
        assert self.send(stage, b"PostToolBatch\n", *parts) == ""
        assert "    Read\n" in stage.run("log")
        channel = self.channel(stage)
        channel.write(b"x" * (PAYLOAD_KEPT_BYTES + 1))
        assert len(channel._pending) == PAYLOAD_KEPT_BYTES

    def test_a_refusal_is_told_to_the_user(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stage = Stage()
        stage.files.write(b"a", b"x")

        def full(*_: object, **__: object) -> CommitId:
            raise StoreFull("the store is full")

        monkeypatch.setattr(type(stage.view), "commit", full)
        told = json.loads(self.send(stage, b"Stop\n", b"{}"))
        assert told == {"systemMessage": "helios: nothing was committed: the store is full"}
        with pytest.raises(StoreFull):
            self.send(stage, b"WorktreeCreate\n", b'{"name": "x"}')

    def test_without_a_request(self) -> None:
        assert self.channel(Stage()).read(100) == b"usage\n"

    def test_a_line_that_is_no_event(self) -> None:
        stage = Stage()
        stage.files.write(b"a", b"x")
        assert self.send(stage, b"Whatever\n", b"{}") == ""
        assert "systemMessage" in json.loads(self.send(stage, b"Stop --bad\n", b"{}"))
        assert stage.view.head is None


def test_a_commit_of_somebody_else_has_no_trace() -> None:
    stage = Stage()
    stage.run("commit", "--allow-empty", "-m", "x", "--meta", "agent=mine")
    assert trace_of(stage.repository.history.read(CommitId(Oid(bytes.fromhex(stage.head))))) is None
