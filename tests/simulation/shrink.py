"""The search for the shortest plan that still fails in the same way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from tests.simulation.run import Failure, Plan, simulate


def shrink(failure: Failure, tell: Callable[[str], None] = lambda line: None) -> Failure:
    """Drop lives and actions while the failure stays the same; return the last failure."""
    best = failure
    is_shorter = True
    while is_shorter:
        is_shorter = False
        for plans in _shorter(best.plans):
            again = _fails(best.seed, plans)
            if again is not None and again.kind == failure.kind:
                best, is_shorter = again, True
                tell(f"{sum(len(plan.actions) for plan in plans)} actions")
                break
    return best


def _fails(seed: int, plans: list[Plan]) -> Failure | None:
    try:
        simulate(seed, plans)
    except Failure as failure:
        return failure
    return None


def _shorter(plans: list[Plan]) -> Iterator[list[Plan]]:
    """Plans with something left out, the largest pieces first."""
    for at in range(len(plans)):
        if len(plans) > 1:
            yield plans[:at] + plans[at + 1 :]
    longest = max((len(plan.actions) for plan in plans), default=0)
    size = longest
    while size:
        for at, plan in enumerate(plans):
            for begin in range(0, len(plan.actions), size):
                left = plan.actions[:begin] + plan.actions[begin + size :]
                if len(left) < len(plan.actions):
                    yield [*plans[:at], replace(plan, actions=left), *plans[at + 1 :]]
        size //= 2
    for at, plan in enumerate(plans):
        alone = [replace(action, actor=0) for action in plan.actions]
        if alone != plan.actions:
            yield [*plans[:at], replace(plan, actions=alone), *plans[at + 1 :]]
