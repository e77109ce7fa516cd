"""How Sphinx makes the site of these pages: ``make docs``. Nothing is fetched."""

from __future__ import annotations

import collections.abc as c
import importlib.metadata
import pathlib
import re
import typing as t

from sphinx.application import Sphinx
from sphinx.highlighting import PygmentsBridge
from sphinx.util import logging

DOCS = pathlib.Path(__file__).parent
ROOT = DOCS.parent

project = "Flask-Scopes"
author = "The Flask-Scopes developers"
project_copyright = author
version = release = importlib.metadata.version("Flask-Scopes")

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
nitpicky = True
nitpick_ignore_regex = [
    # Type variables.
    (r"py:.*", r"(.*\.)?~?(P|T|UserT|View)"),
    # Of Python and of other libraries: their inventories would have to be fetched.
    (r"py:.*", r"(?!flask_scopes\.)[a-z]\w*\..*"),
    # The same, by the names that only type checkers import; and aliases, which are
    # shown by these names as well.
    (
        r"py:(class|exc)",
        r"AnySession|AppImportError|Blueprint|Database|Engine|Existing|FileStorage"
        r"|Flask|Graph|Map|MetaData|MethodNotAllowed|NotFound|ObjectId"
        r"|PasswordHasher|PyMongoError|Readable|Redis|Response|ResponseReturnValue"
        r"|Task|TypedReturnsRows|sessionmaker|timedelta|.*\.HasSession",
    ),
]

# The anchors of headings are those of GitHub.
myst_heading_anchors = 3
# What is outside of this folder; see `link_outside`.
myst_url_schemes = {
    "http": None,
    "https": None,
    "outside": "{{path}}",
}

autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 96
add_module_names = False
toc_object_entries_show_parents = "hide"

# What is fenced without a language has none; docstrings are Python, see docs/api.
highlight_language = "text"
pygments_dark_style = "github-dark"

html_theme = "furo"
html_title = project
html_theme_options = {
    # So that the 92 columns that code may have fit in.
    "light_css_variables": {"code-font-size": "78%"},
}
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False

# ---- Files outside of this folder: a page for each that is linked ----------

log = logging.getLogger(__name__)
_LINK = re.compile(r"\]\((\.\./[^)#\s]*)(?:#[^)\s]*)?\)")
_LEXERS = {".py": "python", ".md": "markdown", ".html": "html+jinja", ".css": "css"}


def outside(link: str, docname: str) -> pathlib.Path | None:
    """The path, from the root of the project, that *link* in a page leads to; None if
    that is part of the site.
    """
    path = (DOCS / docname).parent.joinpath(link).resolve()
    return None if path.is_relative_to(DOCS) else path.relative_to(ROOT)


def link_outside(app: Sphinx, docname: str, source: list[str]) -> None:
    """Let links to files outside of the site lead to pages with their text."""

    def replaced(found: re.Match[str]) -> str:
        path = outside(found[1], docname)
        if path is None:
            return found[0]
        if not (ROOT / path).exists():
            log.warning("there is no %s", path, location=docname)
        up = "../" * docname.count("/")
        return f"](outside:{up}_outside/{path}.html)"

    source[0] = _LINK.sub(replaced, source[0])


def outside_pages(app: Sphinx) -> c.Iterator[tuple[str, dict[str, t.Any], str]]:
    """A page for each; that of a folder has all that is in it."""
    paths: set[pathlib.Path | None] = set()
    for docname in app.env.found_docs:
        text = pathlib.Path(app.env.doc2path(docname)).read_text()
        paths |= {outside(link, docname) for link in _LINK.findall(text)}
    for path in sorted(path for path in paths if path is not None):
        texts = [f"<h2>{each}</h2>\n{text_of(app, each)}" for each in files(path)]
        context = {"title": str(path), "body": "\n".join([f"<h1>{path}</h1>", *texts])}
        yield f"_outside/{path}", context, "page.html"


def files(path: pathlib.Path) -> list[pathlib.Path]:
    if (ROOT / path).is_file():
        return [path]
    found = [each for each in (ROOT / path).rglob("*.*") if each.stat().st_size]
    found = [each for each in found if each.suffix in (*_LEXERS, ".txt")]
    return [each.relative_to(ROOT) for each in sorted(found)]


def text_of(app: Sphinx, path: pathlib.Path) -> str:
    bridge: PygmentsBridge = t.cast("t.Any", app.builder).highlighter
    lexer = _LEXERS.get(path.suffix, "text")
    code = bridge.highlight_block((ROOT / path).read_text(), lexer)
    return f'<div class="highlight-{lexer} notranslate">{code}</div>'


# ---- Signatures -----------------------------------------------------------

# Of what our modules import, where an annotation is still their text.
_ALIASES = re.compile(
    r"(?<![\w.~])(t|c|sa|argon2|bson|datetime|flask|pieces|redis)\.(?=\w)"
)


def short_signature(
    app: Sphinx, what: str, name: str, obj: object, *rest: t.Any
) -> tuple[str, str | None] | None:
    """What users do not call has none; others without the aliases of our imports."""
    _, signature, returns = rest
    if signature is None:
        return None
    if what == "exception" or getattr(obj, "_is_protocol", False):
        return "", None
    short = _ALIASES.sub("", signature)
    return short, None if returns is None else _ALIASES.sub("", returns)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("source-read", link_outside)
    app.connect("autodoc-process-signature", short_signature)
    app.connect("html-collect-pages", outside_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
