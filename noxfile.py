"""The tests, from the built wheel, on every supported Python and Flask.

``make matrix`` runs all that are found here; to insist on all of them, call
``nox --error-on-missing-interpreters``. What follows ``--`` goes to pytest.
"""

from __future__ import annotations

import nox

nox.options.default_venv_backend = "virtualenv"
nox.options.error_on_missing_interpreters = False
nox.options.reuse_venv = "yes"

PYTHONS = ["3.11", "3.12", "3.13"]
# 3.1.2 began to run teardown twice around a streamed body; 3.1.3 still does.
FLASKS = ["==3.1.0", "==3.1.1", "==3.1.2", "==3.1.3"]
NEWEST = ""

MATRIX = [
    *[(python, NEWEST) for python in PYTHONS],
    *[(PYTHONS[0], flask) for flask in FLASKS],
    *[(PYTHONS[-1], flask) for flask in FLASKS],
]


@nox.session
@nox.parametrize(["python", "flask"], MATRIX)
def tests(session: nox.Session, flask: str) -> None:
    """Run pytest; on a pinned Flask, only what may depend on its version."""
    project = nox.project.load_toml("pyproject.toml")
    group = nox.project.dependency_groups(project, "tests")
    # Before 8.2, click did not say that a command had failed when it was left.
    click = ["click<8.2"] if flask == FLASKS[0] else []
    session.install(".[embedded]", f"flask{flask}", *click, *group)
    # How processes live does not depend on it.
    others = ["tests/test_embedded.py", "tests/test_celery.py", "tests/servers"]
    core = ["tests", *[f"--ignore={each}" for each in others]] if flask else []
    if flask and session.python != PYTHONS[0]:
        # What a database does there, the oldest Python has shown.
        core += ["--ignore=tests/test_soak.py", "-m", "not mongo"]
    session.run("pytest", *core, *(session.posargs or ["--quiet"]))
