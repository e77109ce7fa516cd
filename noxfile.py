"""The tests, from the built wheel, on every supported Python and Flask.

``make matrix`` runs all that are found here, but those on this Python with the newest
Flask, which ``make test`` runs; to insist on all of them, call
``nox --error-on-missing-interpreters``. What follows ``--`` goes to pytest.
"""

from __future__ import annotations

import platform

import nox

nox.options.default_venv_backend = "virtualenv"
nox.options.error_on_missing_interpreters = False
nox.options.reuse_venv = "yes"
nox.options.sessions = ["tests"]

PYTHONS = ["3.11", "3.12", "3.13"]
# 3.1.2 began to run teardown twice around a streamed body; 3.1.1 ends as 3.1.0 does.
FLASKS = ["==3.1.0", "==3.1.2"]
NEWEST = ""  # 3.1.3, which still does
OLDEST_SQLALCHEMY = "sqlalchemy==2.0.31"

THIS = ".".join(platform.python_version_tuple()[:2])
OLDEST, BETWEEN, LATEST = PYTHONS
# `make test` runs all on one Python. The oldest Flask goes with the Python in between:
# what neither of its neighbours fails at, it hardly will.
MATRIX = [
    *[(python, NEWEST) for python in (OLDEST, LATEST) if python != THIS],
    *[(BETWEEN if flask == FLASKS[0] else OLDEST, flask) for flask in FLASKS],
]


PROCESSES = [
    *[f"test_{each}.py" for each in ("celery", "deploying", "embedded", "greenlets")],
    *["test_process.py", "servers", "mongo"],
]
# `make test` shows them, and they take long; the pages say the same on every Python.
SLOW = ["look/test_inspector_browser.py", "sql/test_ledger_served.py", "test_soak.py"]
PAGES = [
    *["pages", "test_site.py", "test_instruction_counts.py", "mongo/test_scaling.py"],
    "test_benchmarks.py",
    *[f"test_{each}_page.py" for each in ("checks", "design", "errors", "security")],
]
DATA = ["login", "sessions", "sql"]
# Of these, what is about requests and cookies, and the same whatever they are kept in.
ALIKE = [
    *[f"login/test_{each}.py" for each in ("attacks", "letters", "openid_connect")],
    *[f"login/test_{each}.py" for each in ("passwords", "throttle")],
    *[f"sessions/test_{each}.py" for each in ("attacks", "elsewhere", "revoking")],
]
# What is told of resources depends on their code, not on how it is printed.
DRAWN = [f"look/test_{each}.py" for each in ("commands", "drawing", "pages")]
# What depends on contexts, sessions and how a response is sent is not among these.
APART = [
    *DATA,
    *DRAWN,
    *["look/test_calls.py", "look/test_checks.py", "look/test_graph.py"],
    *["look/test_leaks.py", "look/test_pytest_plugin.py"],
]


@nox.session
@nox.parametrize(["python", "flask"], MATRIX)
def tests(session: nox.Session, flask: str) -> None:
    """Run pytest; each session what may fail there, and not in one of the others."""
    project = nox.project.load_toml("pyproject.toml")
    # How processes live does not depend on Flask. And not every server goes with the
    # click of the first one: before 8.2, it did not say that a command had failed.
    groups = ["tests"] if flask else ["tests", "servers"]
    is_oldest = flask == FLASKS[0]
    click = ["click<8.2"] if is_oldest else []
    wanted = nox.project.dependency_groups(project, *groups)
    session.install(".[embedded,login,session]", f"flask{flask}", *click, *wanted)
    if is_oldest:
        # Of SQLAlchemy, too, and with all that is stored.
        session.install(OLDEST_SQLALCHEMY)
        options = without(*SLOW, *PAGES, *PROCESSES, *DRAWN, *ALIKE)
    elif flask:
        options = ["-m", "not mongo", *without(*SLOW, *PAGES, *PROCESSES, *APART)]
    else:
        # What processes do depends on Python; what databases do does not.
        apart = [*SLOW, *PAGES, *DATA, *DRAWN, "mongo/test_failover.py"]
        options = ["-m", "not mongo or server", *without(*apart)]
    at_once = ["--numprocesses=4", "--dist=loadfile"]
    chosen = session.posargs or ["--quiet", *at_once]
    session.run("pytest", "tests", *options, *chosen)


@nox.session
@nox.parametrize(["python", "flask"], MATRIX)
def counts(session: nox.Session, flask: str) -> None:
    """Write down how many instructions it takes, for each Python and Flask."""
    session.install(".", f"flask{flask}")
    session.run("python", "benchmarks/counts.py", "--write")


def without(*names: str) -> list[str]:
    return [f"--ignore=tests/{each}" for each in names]
