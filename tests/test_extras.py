"""The core needs Flask alone, and each integration one library, which it asks for."""

from __future__ import annotations

import subprocess
import sys

import pytest

CASES = [
    ("celery", "celery", "import flask_scopes.celery"),
    ("login", "flask_login", "import flask_scopes.login"),
    ("login", "argon2", "import flask_scopes.login"),
    ("mongo", "pymongo", "import flask_scopes.login.mongo"),
    ("sqlalchemy", "sqlalchemy", "import flask_scopes.login.sql"),
    ("mongo", "pymongo", "import flask_scopes.mongo"),
    ("mongo", "pymongo", "import flask_scopes.sessions.mongo"),
    ("redis", "redis", "import flask_scopes.sessions.redis"),
    ("sqlalchemy", "sqlalchemy", "import flask_scopes.sqlalchemy"),
    ("sqlalchemy", "sqlalchemy", "import flask_scopes.sessions.sql"),
    (
        "session",
        "msgspec",
        "from flask_scopes import Scopes\n"
        "def cart() -> int: return 1\n"
        "scopes = Scopes()\n"
        "scopes.request(cart), scopes.application(cart), print('so far')\n"
        "scopes.session(cart)",
    ),
]
each_extra = pytest.mark.parametrize(("extra", "package", "code"), CASES)


def run(code: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@each_extra
def test_without_its_library_it_says_what_to_install(
    extra: str, package: str, code: str
) -> None:
    done = run(f"import sys; sys.modules[{package!r}] = None\n{code}")

    assert done.returncode == 1
    assert f"pip install 'Flask-Scopes[{extra}]'" in done.stderr
    assert "During handling" not in done.stderr
    # Without msgspec, only the scope that needs it is missing.
    assert done.stdout == ("so far\n" if extra == "session" else "")


@each_extra
def test_what_is_missing_within_its_library_is_no_matter_of_ours(
    extra: str, package: str, code: str
) -> None:
    broken = (
        "import importlib.abc, sys\n"
        "class Broken(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path, target=None):\n"
        f"        if name == {package!r}:\n"
        "            raise ModuleNotFoundError('not there', name='its_own')\n"
        "sys.meta_path.insert(0, Broken())\n"
    )

    done = run(broken + code)

    assert done.stderr.endswith("ModuleNotFoundError: not there\n")


def test_the_core_and_the_sessions_do_without() -> None:
    packages = {package for _, package, _ in CASES} | {"bson"}

    done = run(
        "import sys, flask_scopes, flask_scopes.sessions\n"
        f"sys.exit(','.join({packages!r} & {{*sys.modules}}))"
    )

    assert done.stderr == "\n"
