"""`helios completion`: verbs, options, keys and branches for a shell, from the table of verbs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from heliosfs.cli.arguments import LocalVerbParser
from heliosfs.cli.local_verbs import LOCAL_VERBS
from heliosfs.commands.options import HELP
from heliosfs.commands.table import VERBS
from heliosfs.config.schema import ANY, KEYS

_REVISIONS = ("BRANCH", "REV", "BASE", "NEW", "ID")
_PATHS = ("PATH", "DIR", "FILE", "OUT", "REPO")
_LIST_BRANCHES = "helios branch 2>/dev/null | sed 's/^[* ]*//; s/[[:space:]].*//'"
_OBEYED = (
    r"'[\001-\037\177]\|\302[\200-\237]\|\330\234"
    r"\|\342\200[\216\217\250-\256]\|\342\201[\246-\251]'"
)
"""Pattern, for printf(1), of what a terminal would obey in a name: see `commands/visible.py`."""
_LIST_SEEN = f'{_LIST_BRANCHES} | LC_ALL=C grep -v "$(printf {_OBEYED})"'
_LIST_SEEN_IN_FISH = rf"{_LIST_BRANCHES} | string match -rv '[\p{{Cc}}\p{{Cf}}]'"


class Word(NamedTuple):
    """Verb with the words that a shell may complete after it."""

    name: str
    summary: str
    options: tuple[str, ...]
    words: tuple[str, ...]
    """Fixed words that may follow the verb."""
    takes_branches: bool = False
    takes_files: bool = False


def completion_parser() -> LocalVerbParser:
    """Return the parser of the arguments of `helios completion`."""
    parser = LocalVerbParser(
        prog="helios completion",
        description="Print what makes a shell complete the words of helios.\n\n"
        '  bash   eval "$(helios completion bash)"     in ~/.bashrc\n'
        '  zsh    eval "$(helios completion zsh)"      in ~/.zshrc, after compinit\n'
        "  fish   helios completion fish | source      in ~/.config/fish/config.fish",
    )
    parser.add_argument("shell", choices=sorted(_SHELLS))
    return parser


def completion(argv: Sequence[str]) -> int:
    """Run `helios completion` and return the exit code."""
    asked = completion_parser().parse_args(argv)
    print(_SHELLS[asked.shell](vocabulary()), end="")
    return 0


def vocabulary() -> list[Word]:
    """Return every verb of the command line, those of the table first."""
    words = []
    for verb in VERBS.values():
        usage = " ".join(verb.synopsis)
        names = tuple(name for option in (*verb.options, verb.help) for name in option.names)
        fixed: tuple[str, ...] = ()
        if verb.name == "config":
            keys = (key.path for key in KEYS if not key.path.endswith(ANY))
            fixed = ("list", "get", "set", "unset", *keys)
        elif verb.name == "experiment":
            fixed = ("start", "record", "list", "show", "best", "finish", "abandon")
        words.append(
            Word(
                verb.name,
                verb.summary,
                names,
                fixed,
                any(each in usage for each in _REVISIONS),
                any(each in usage for each in _PATHS),
            )
        )
    for name, local in LOCAL_VERBS.items():
        shells = tuple(sorted(_SHELLS)) if name == "completion" else ()
        word = Word(name, local.summary, HELP.names, shells, takes_files=not shells)
        words.append(word)
    return words


def _bash_script(words: list[Word]) -> str:
    cases = "".join(
        f"        {word.name}) words='{' '.join((*word.words, *word.options))}'"
        f"{'; branches=1' * word.takes_branches}{'; files=1' * word.takes_files} ;;\n"
        for word in words
    )
    return f"""\
_helios() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} words= branches= files= name
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W '{" ".join(word.name for word in words)}' -- "$cur"))
        return
    fi
    case ${{COMP_WORDS[1]}} in
{cases}    esac
    case $cur in
        -*) branches= files= ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
    # Not by -W, which expands words: somebody else may have named the branches.
    [ -z "$branches" ] || while IFS= read -r name; do
        case $name in "$cur"*) COMPREPLY+=("$name") ;; esac
    done < <({_LIST_SEEN})
    [ -z "$files" ] || COMPREPLY+=($(compgen -f -- "$cur"))
}}
complete -o filenames -F _helios helios
"""


def _zsh_script(words: list[Word]) -> str:
    verbs = "\n".join(f"        {_quote(f'{word.name}:{word.summary}')}" for word in words)
    cases = "".join(
        f"        {word.name}) words=({' '.join((*word.words, *word.options))})"
        f"{'; branches=1' * word.takes_branches}{'; files=1' * word.takes_files} ;;\n"
        for word in words
    )
    return f"""\
#compdef helios
_helios() {{
    local -a verbs words_known
    local branches= files=
    verbs=(
{verbs}
    )
    if (( CURRENT == 2 )); then
        _describe verb verbs
        return
    fi
    case $words[2] in
{cases.replace(" words=(", " words_known=(")}    esac
    [[ -z $branches ]] || words_known+=(${{(f)"$({_LIST_SEEN})"}})
    compadd -- $words_known
    [[ -z $files ]] || _files
}}
compdef _helios helios
"""


def _fish_script(words: list[Word]) -> str:
    lines = ["complete -c helios -f"]
    for word in words:
        lines.append(
            f"complete -c helios -n __fish_use_subcommand -a {word.name} -d {_quote(word.summary)}"
        )
        when = f"complete -c helios -n '__fish_seen_subcommand_from {word.name}'"
        lines += [f"{when} {_fish_option(name)}" for name in word.options]
        if word.words:
            lines.append(f"{when} -a '{' '.join(word.words)}'")
        if word.takes_branches:
            lines.append(f'{when} -a "({_LIST_SEEN_IN_FISH})"')
        if word.takes_files:
            lines.append(f"{when} -F")
    return "\n".join(lines) + "\n"


def _fish_option(name: str) -> str:
    return f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}"


def _quote(text: str) -> str:
    """Return the text in single quotes; an apostrophe in it becomes a typographic one.

    The three shells escape an apostrophe differently.
    """
    return "'" + text.replace("'", "’") + "'"


_SHELLS: dict[str, Callable[[list[Word]], str]] = {
    "bash": _bash_script,
    "zsh": _zsh_script,
    "fish": _fish_script,
}
