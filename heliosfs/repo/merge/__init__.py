"""Three-way merges of trees, of a file and of its lines; views and refs are unknown here.

Layers above import what they need of it from here; its modules are for `repo/` alone.
"""

from heliosfs.repo.merge.entries import MergeRules
from heliosfs.repo.merge.renames import find_renames, find_renames_in_steps
from heliosfs.repo.merge.text import Favor, Labels
from heliosfs.repo.merge.trees import Conflict, merge_trees

__all__ = [
    "Conflict",
    "Favor",
    "Labels",
    "MergeRules",
    "find_renames",
    "find_renames_in_steps",
    "merge_trees",
]
