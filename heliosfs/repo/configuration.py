"""The configuration of a repository: its `helios.yaml`, the files beneath it, and its followers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from heliosfs.config.document import assign, remove
from heliosfs.config.schema import find_key
from heliosfs.config.settings import Layer, Setting, Settings, default_text, resolve
from heliosfs.errors import NotFound, UsageError
from heliosfs.store.sidefile import MemoryFile, SideFile

FILE = "helios.yaml"


class Configuration:
    """The current settings, and the repository's file, the only one of their sources to change.

    A change is checked, written to the file, and then passed to all followers.
    """

    def __init__(self, file: SideFile | None = None, below: Sequence[Layer] = ()) -> None:
        """Read the settings from `file`, and from the layers in `below`, which `file` overrides.

        `below` is in the order of precedence, the lowest first.

        Raise UsageError or StoreError.
        """
        self._file = file or MemoryFile()
        self._below = tuple(below)
        data = self._file.read()
        self.has_file = data is not None
        """True if there is a file, though it may be empty."""
        try:
            self.text = (data or b"").decode()
        except UnicodeDecodeError as error:
            raise UsageError(f"{FILE} is not UTF-8: {error.reason}") from error
        self.settings: Settings = self._resolve(self.text)
        self._followers: list[Callable[[Settings], None]] = []

    def follow(self, apply: Callable[[Settings], None]) -> None:
        """Call `apply` with the settings, now and after each change."""
        apply(self.settings)
        self._followers.append(apply)

    def set(self, path: str, text: str) -> Setting:
        """Set a key in the file; return the setting in force.  Raise UsageError or StoreError."""
        key = find_key(path)
        if key.is_of_user:
            raise UsageError(
                f"{key.path} names a program, and is not taken from a workspace, where others "
                f"could set it: set it in ~/.config/heliosfs/{FILE}, or for one call with -c"
            )
        try:
            value = key.type.parse(text)
        except ValueError as error:
            raise UsageError(f"{path}: {error}") from error
        self._change(assign(self.text, key.path, key.type.show(value), FILE))
        return self.settings.find(key.path)

    def unset(self, path: str) -> Setting:
        """Remove a key from the file; return the setting in force.

        Raise NotFound, UsageError or StoreError.
        """
        entry = self.settings.find(path)
        if entry.source != FILE:
            raise NotFound(f"{entry.key.path} is not set in {FILE}")
        self._change(remove(self.text, entry.key.path, FILE))
        return self.settings.find(entry.key.path)

    def shown(self) -> str:
        """Return the text of the file; if there is none, a text of the defaults."""
        return self.text or default_text()

    def _resolve(self, text: str) -> Settings:
        return resolve([*self._below, Layer(FILE, text, is_of_user=False)])

    def _change(self, text: str) -> None:
        settings = self._resolve(text)
        # Written before it is applied: after a failure, both the file and the settings are the old
        # ones.
        self._file.replace(text.encode())
        self.has_file = True
        self.text, self.settings = text, settings
        for apply in self._followers:
            apply(settings)
