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

PYTHONS = ["3.11", "3.12", "3.13"]
# 3.1.2 began to run teardown twice around a streamed body.
FLASKS = ["==3.1.0", "==3.1.1", "==3.1.2"]
NEWEST = ""  # 3.1.3, which still does
OLDEST_SQLALCHEMY = "sqlalchemy==2.0.31"

THIS = ".".join(platform.python_version_tuple()[:2])
OLDEST, *_, LATEST = PYTHONS
MATRIX = [
    *[(python, NEWEST) for python in PYTHONS if python != THIS],
    *[(OLDEST, flask) for flask in FLASKS],
]


@nox.session
@nox.parametrize(["python", "flask"], MATRIX)
def tests(session: nox.Session, flask: str) -> None:
    """Run pytest; on a pinned Flask, only what may depend on its version."""
    project = nox.project.load_toml("pyproject.toml")
    # How processes live does not depend on Flask. And not every server goes with the
    # click of the first one: before 8.2, it did not say that a command had failed.
    groups = ["tests"] if flask else ["tests", "servers"]
    click = ["click<8.2"] if flask == FLASKS[0] else []
    wanted = nox.project.dependency_groups(project, *groups)
    session.install(".[embedded,login,session]", f"flask{flask}", *click, *wanted)
    is_oldest = (session.python, flask) == (OLDEST, FLASKS[0])
    if is_oldest:
        session.install(OLDEST_SQLALCHEMY)
    options = ["tests", *(without(*kept_out(is_oldest)) if flask else [])]
    if flask and not is_oldest:
        # What a database does there, the oldest of all has shown.
        options += ["-m", "not mongo"]
    elif session.python == LATEST:
        # What processes do there depends on Python, what databases do does not.
        options += ["-m", "not mongo or server"]
    elif session.python != OLDEST:
        options += ["-m", "not mongo and not server"]
    if not is_oldest:
        # They take long, and that and `make test` have shown them.
        options += without("test_soak.py", "sql/test_ledger_served.py")
    at_once = ["--numprocesses=4", "--dist=loadfile"]
    session.run("pytest", *options, *(session.posargs or ["--quiet", *at_once]))


def kept_out(is_oldest: bool) -> list[str]:
    """What does not depend on the version of Flask."""
    processes = ["embedded", "process", "deploying", "celery", "greenlets"]
    names = [*[f"test_{each}.py" for each in processes], "servers", "mongo"]
    if is_oldest:
        return [*names, "sql/test_ledger_served.py"]
    # Other versions of SQLAlchemy are tested with the newest Flask. Of signing in, what
    # depends on contexts and sessions is left.
    apart = ["devices", "docs", "flask_login", "guards", "letters", "messages"]
    apart += ["openid_connect", "passwords", "remember", "stores", "throttle"]
    login = [f"login/test_{each}.py" for each in apart]
    return [*names, "sql", "sessions", *login]


def without(*names: str) -> list[str]:
    return [f"--ignore=tests/{each}" for each in names]
