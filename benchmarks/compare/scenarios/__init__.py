"""What is measured. Each module has ``measure(plan)``, which returns results by the
name of the figure and then of the contender.
"""

from __future__ import annotations

import collections.abc as c
import dataclasses
import typing as t

from ..timing import Figure

if t.TYPE_CHECKING:
    from ..contenders import Contender

Row = dict[str, Figure]
"""By contender."""

Results = dict[str, Row]
"""By figure: "warm application read, ns"."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """Who takes part, and how long."""

    contenders: c.Mapping[str, Contender]
    quick: bool

    def rounds(self, full: int) -> int:
        return max(2, full // 12) if self.quick else full

    def serving(self) -> list[str]:
        """Who ends what a request has built."""
        return [name for name, each in self.contenders.items() if each.serves]
