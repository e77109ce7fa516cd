"""What a factory makes, as far as its annotation tells."""

from __future__ import annotations

import ast
import collections.abc as c
import types
import typing as t

from ..places import innermost
from ..recipe import Recipe
from .names import cells_of
from .uses import function_of
from .uses import parts_of

_ITERATORS: t.Final = (c.Iterator, c.Iterable, c.Generator)
_TEXTS: t.Final = {each.__name__ for each in _ITERATORS}


def type_of(recipe: Recipe) -> object:
    """The type of the objects of *recipe*; None if that is not said, or cannot be found
    out: it may be imported for type checkers alone.
    """
    target = innermost(recipe.factory)
    if isinstance(target, type):
        return target
    annotation = _annotation(recipe)
    if isinstance(annotation, str):
        return None
    if not recipe.yields:
        return annotation
    is_iterator = t.get_origin(annotation) in _ITERATORS
    return t.get_args(annotation)[0] if is_iterator else None


def type_name(recipe: Recipe) -> str:
    """The name of that type, as short as it can be; empty if there is none."""
    found = type_of(recipe)
    if found is not None:
        return _short(found)
    annotation = _annotation(recipe)
    return _short_text(annotation, recipe.yields) if isinstance(annotation, str) else ""


def class_of(made: object) -> type | None:
    """The class behind type *made*: ``MongoClient`` for ``MongoClient[Document]``."""
    origin = t.get_origin(made) or made
    return t.cast("type[t.Any]", origin) if isinstance(origin, type) else None


def _annotation(recipe: Recipe) -> object:
    """What the factory says it returns; its text, if that means nothing here."""
    plain = function_of(recipe.factory)
    if plain is None:
        return None
    function, _ = parts_of(plain)
    try:
        annotation: object = function.__annotations__["return"]
    except Exception:
        # It says nothing. Or it cannot: from Python 3.14 on it is found out only now.
        return None
    # Alone: what a parameter's annotation names may not be there.
    alone = types.SimpleNamespace(__annotations__={"return": annotation})
    try:
        hints = t.get_type_hints(alone, {**function.__globals__}, cells_of(function))
    except Exception:
        return annotation if isinstance(annotation, str) else None
    return t.cast("object", hints["return"])


def _short(annotation: object) -> str:
    if annotation is type(None):
        return "None"
    if isinstance(annotation, t.ForwardRef):
        return annotation.__forward_arg__
    if isinstance(annotation, t.TypeVar):
        return ""
    arguments = t.get_args(annotation)
    origin = t.get_origin(annotation)
    if origin is t.Annotated:
        return _short(arguments[0])
    if origin in (t.Union, types.UnionType):
        each = list(map(_short, arguments))
        return " | ".join(each) if all(each) else ""
    if origin is None or origin is t.Literal:
        return str(getattr(annotation, "__name__", "")) if origin is None else "Literal"
    name = str(getattr(origin, "__name__", ""))
    # `list` alone says too little, while `MongoClient` says enough.
    if getattr(origin, "__module__", "") == "builtins":
        inner = ["..." if each is ... else _short(each) for each in arguments]
        return f"{name}[{', '.join(inner)}]" if all(inner) else name
    return name


def _short_text(text: str, yields: bool) -> str:
    try:
        node: ast.expr = ast.parse(text, mode="eval").body
    except SyntaxError:
        return ""
    if yields:
        if not isinstance(node, ast.Subscript) or _tail(node.value) not in _TEXTS:
            return ""
        node = node.slice
        if isinstance(node, ast.Tuple) and node.elts:
            node = node.elts[0]
    return _tail(node.value if isinstance(node, ast.Subscript) else node)


def _tail(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ast.unparse(node)
