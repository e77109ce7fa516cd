"""How the indexes that are declared differ from those that are there.

The server does not keep an index as it was declared: it writes defaults into it, turns
keys of text into weights, and adds versions. So both are brought into one form first.
What has just been created must not differ.
"""

from __future__ import annotations

import collections.abc as c
import dataclasses
import typing as t

import bson
import bson.json_util

if t.TYPE_CHECKING:
    from pymongo import IndexModel

    from .clients import Document

Status: t.TypeAlias = t.Literal[
    "ok", "created", "missing", "differs", "unknown", "dropped"
]

# Whatever is said in these, the index is the same.
_IGNORED: t.Final = ("key", "name", "v", "ns", "background", "dropDups")
_FLAGS: t.Final = ("unique", "sparse", "hidden")
# Of others that a server may add one day, nobody knows whether they make a difference.
_COMPARED: t.Final = (
    *_FLAGS,
    "expireAfterSeconds",
    "partialFilterExpression",
    "wildcardProjection",
    *("weights", "default_language", "language_override"),
    *("bits", "min", "max"),
    "storageEngine",
)
_DEFAULTS: t.Final[c.Mapping[str, object]] = {
    **dict.fromkeys(_FLAGS, False),
    "weights": {},
    "default_language": "english",
    "language_override": "language",
    "bits": 26,
    "min": -180,
    "max": 180,
}
# Some languages have others, so what differs from these may be a default as well.
_COLLATION: t.Final[c.Mapping[str, object]] = {
    "caseLevel": False,
    "caseFirst": "off",
    "strength": 3,
    "numericOrdering": False,
    "alternate": "non-ignorable",
    "maxVariable": "punct",
    "normalization": False,
    "backwards": False,
}


@dataclasses.dataclass(frozen=True, slots=True)
class Index:
    """What an index is, be it declared or there."""

    name: str
    keys: list[tuple[str, t.Any]]
    """In order; those of text by their names, as their order makes no difference."""
    options: Document
    """Without those that say what is so anyway."""

    @classmethod
    def of(cls, document: c.Mapping[str, t.Any]) -> t.Self:
        """
        :param document: as the server has it, or ``createIndexes`` takes it.
        """
        options: Document = {
            name: bool(value) if name in _FLAGS else value
            for name, value in document.items()
            if name not in _IGNORED and not name.endswith("Version")
        }
        keys = [(field, _direction(kind)) for field, kind in document["key"].items()]
        if "text" in dict(keys).values():
            weights: Document = options.get("weights", {})
            keys = _with_text(keys, weights)
            # A weight of 1 is the default. (Of a field that has another, the key is.)
            options["weights"] = {
                name: weight for name, weight in weights.items() if weight != 1
            }
        options = {
            name: value
            for name, value in options.items()
            if name not in _DEFAULTS or value != _DEFAULTS[name]
        }
        return cls(document["name"], keys, options)

    @classmethod
    def of_model(cls, model: IndexModel) -> t.Self:
        """
        :raises BSONError, TypeError, ValueError, OverflowError: it cannot be stored.
        """
        # There and back: a date loses its microseconds, a pattern becomes a `Regex`.
        return cls.of(bson.BSON.encode(model.document).decode())

    def is_like(self, other: Index) -> bool:
        """Whether a collection has one of them, most often, and not both."""
        # Of text it cannot have two.
        text = ["text" in dict(each.keys).values() for each in (self, other)]
        return all(text) or self.keys == other.keys

    def __str__(self) -> str:
        keys = [f"{shown(name)}: {_plain(kind)}" for name, kind in self.keys]
        return ", ".join([*keys, *map(_option, self.options, self.options.values())])


def _direction(kind: t.Any) -> t.Any:
    # A shell may have sent 1.0.
    return int(kind) if isinstance(kind, float) and kind.is_integer() else kind


def _with_text(
    keys: list[tuple[str, t.Any]], weights: c.Iterable[str]
) -> list[tuple[str, t.Any]]:
    """*keys* as they are declared. The server has ``_fts`` and ``_ftsx`` in the place
    of the fields, which are named in the weights alone.
    """
    names = {name for name, kind in keys if kind == "text"} | set(weights)
    first = [kind for _, kind in keys].index("text")
    fields = [(name, "text") for name in sorted(names - {"_fts"})]
    others = [key for key in keys[first:] if key[1] != "text" and key[0] != "_ftsx"]
    return [*keys[:first], *fields, *others]


def _plain(value: object) -> str:
    return value if isinstance(value, str) else bson.json_util.dumps(value)


def _option(name: str, value: t.Any) -> str:
    if name == "collation":
        value = {
            field: each
            for field, each in value.items()
            if field != "version" and _COLLATION.get(field) != each
        }
    return name if value is True else f"{name}: {bson.json_util.dumps(value)}"


def shown(text: str) -> str:
    """*text*, if it stays in its line, and moves nothing else there."""
    return text if text.isprintable() else ascii(text)


def differences(
    declared: Index, there: Index, default_collation: Document
) -> list[str]:
    """What is not as it was *declared* in the one that is *there*, in words."""
    found: list[str] = []
    if declared.name != there.name:
        found.append(f"declared as {shown(declared.name)}")
    if declared.keys != there.keys:
        found.append(f"declared for {Index('', declared.keys, {})}")
    # What a version of the server may have beyond these, if it is declared.
    names = dict.fromkeys([*_COMPARED, *declared.options])
    names.pop("collation", None)
    for name in names:
        mine, its = declared.options.get(name), there.options.get(name)
        if _exact(mine) != _exact(its):
            found.append(_difference(name, mine, its))
    wanted: Document = declared.options.get("collation", default_collation)
    its = there.options.get("collation", {})
    if not _fits(wanted, its):
        found.append(_difference("collation", wanted or None, its or None))
    return found


def _exact(value: t.Any) -> t.Any:
    """*value* in a form where True is not 1, as it is in Python but not in MongoDB."""
    if isinstance(value, dict):
        return {name: _exact(each) for name, each in t.cast("Document", value).items()}
    if isinstance(value, list):
        return [_exact(each) for each in t.cast("c.Sequence[t.Any]", value)]
    return isinstance(value, bool), value


def _fits(wanted: Document, there: Document) -> bool:
    """Whether the collation that is *there* can be the one that is *wanted*: the server
    has filled in what is not said.
    """
    if not wanted or wanted["locale"] == "simple":
        return not there
    return all(
        there.get(name) == value for name, value in wanted.items() if name != "version"
    )


def _difference(name: str, mine: t.Any, its: t.Any) -> str:
    if its is None:
        return f"declared with {_option(name, mine)}, is without"
    with_its = "is with" if its is True else f"is with {_option(name, its)}"
    if mine is None:
        return f"declared without {name}, {with_its}"
    return f"declared with {_option(name, mine)}, {with_its}"


@dataclasses.dataclass(slots=True)
class Row:
    """One index of one collection; lives as long as the command that looks at it."""

    index: Index
    status: Status
    model: IndexModel | None = None
    """As it was declared, if it was."""
    remark: str = ""
    """What differs."""
    error: str = ""
    """Why it could not be created, or dropped."""


def compare(
    models: c.Iterable[IndexModel],
    documents: c.Iterable[c.Mapping[str, t.Any]],
    default_collation: Document,
) -> list[Row]:
    """A row for each of *models*, in their order, and then for what nobody declared.

    :param documents: all that ``listIndexes`` says.
    :param default_collation: of the collection.
    """
    left: list[Index] = []
    under_way: list[str] = []
    for document in documents:
        if "buildUUID" in document:
            # It is not there before it is finished, and may yet fail.
            under_way.append(document["spec"]["name"])
        elif document["name"] != "_id_" and not document.get("clustered"):
            left.append(Index.of(document))
    declared = [(Index.of_model(model), model) for model in models]
    pairs = _pairs([index for index, _ in declared], left, default_collation)
    rows: list[Row] = []
    for index, model in declared:
        there = pairs.get(index.name)
        if there is None:
            remark = "is being made" if index.name in under_way else ""
            rows.append(Row(index, "missing", model, remark))
            continue
        left.remove(there)
        found = "; ".join(differences(index, there, default_collation))
        row = Row(there, "differs", model, found) if found else Row(index, "ok", model)
        rows.append(row)
    return rows + [Row(index, "unknown") for index in left]


def _pairs(
    declared: c.Sequence[Index], there: c.Iterable[Index], collation: Document
) -> dict[str, Index]:
    """Which of *there* is the one that is meant, by the name of the declared one."""
    left = {index.name: index for index in there}
    pairs = {
        index.name: left.pop(index.name) for index in declared if index.name in left
    }
    for index in declared:
        alike = [each for each in left.values() if index.is_like(each)]
        if index.name not in pairs and alike:
            # Of several with these keys, the one that had only another name.
            best = min(alike, key=lambda each: len(differences(index, each, collation)))
            pairs[index.name] = left.pop(best.name)
    return pairs
