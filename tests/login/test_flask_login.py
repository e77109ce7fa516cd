"""What Flask-Login's documentation shows runs on ours, unchanged.

The two applications are those of its README and of its page "How it Works", 0.6.3 and
later: the names, routes and calls are theirs.
"""

from __future__ import annotations

import typing as t

import flask
import flask_login  # type: ignore[import-untyped]  # it has no types
import pytest
from flask.testing import FlaskClient as Client

from flask_scopes import Scopes
from flask_scopes.login import Login

Make: t.TypeAlias = t.Callable[..., t.Any]


def readme(login_manager: t.Any) -> flask.Flask:
    app = flask.Flask("readme")
    app.secret_key = "super secret string"
    login_manager.init_app(app)

    class User(flask_login.UserMixin):  # type: ignore[misc]  # the same
        def __init__(self, email: str, password: str) -> None:
            self.id = email
            self.password = password

    users = {"leafstorm": User("leafstorm", "secret")}

    @login_manager.user_loader  # type: ignore[untyped-decorator]  # the same
    def user_loader(id: str) -> User | None:  # noqa: A002  # theirs
        return users.get(id)

    @app.get("/login")
    def login() -> str:
        return "a form"

    @app.post("/login", endpoint="login_post")
    def login_post() -> t.Any:
        user = users.get(flask.request.form["email"])
        if user is None or user.password != flask.request.form["password"]:
            return flask.redirect(flask.url_for("login"))
        flask_login.login_user(user)
        return flask.redirect(flask.url_for("protected"))

    @app.route("/protected")
    @flask_login.login_required  # type: ignore[untyped-decorator]  # the same
    def protected() -> str:
        return flask.render_template_string(
            "Logged in as: {{ user.id }}", user=flask_login.current_user
        )

    @app.route("/logout")
    def logout() -> str:
        flask_login.logout_user()
        return "Logged out"

    return app


def by_request(login_manager: t.Any) -> flask.Flask:
    """By an API key in the address, and with an anonymous user of one's own."""
    app = flask.Flask("by_request")
    app.secret_key = "super secret string"

    class User(flask_login.UserMixin):  # type: ignore[misc]  # the same
        id = "ann"

    class Anonymous(flask_login.AnonymousUserMixin):  # type: ignore[misc]  # the same
        name = "a guest"

    login_manager.anonymous_user = Anonymous

    @login_manager.request_loader  # type: ignore[untyped-decorator]  # the same
    def load_user_from_request(request: flask.Request) -> User | None:
        return User() if request.args.get("api_key") == "1" else None

    @login_manager.unauthorized_handler  # type: ignore[untyped-decorator]  # the same
    def unauthorized() -> tuple[str, int]:
        return "do stuff", 401

    login_manager.init_app(app)

    @app.route("/settings")
    @flask_login.login_required  # type: ignore[untyped-decorator]  # the same
    def settings() -> str:
        return f"settings of {flask_login.current_user.id}"

    @app.route("/")
    def index() -> str:
        return flask.render_template_string(
            "{% if current_user.is_authenticated %}Hi {{ current_user.id }}"
            "{% else %}Hi {{ current_user.name }}{% endif %}"
        )

    return app


def theirs() -> t.Any:
    return flask_login.LoginManager()


def ours() -> t.Any:
    return Login(Scopes())


both = pytest.mark.parametrize("make", [theirs, ours])


@both
def test_the_readme(make: Make) -> None:
    client = readme(make()).test_client()

    assert client.get("/protected").status_code == 401
    wrong = client.post("/login", data={"email": "leafstorm", "password": "x"})
    assert wrong.location == "/login"
    answer = client.post("/login", data={"email": "leafstorm", "password": "secret"})
    assert answer.location == "/protected"
    assert client.get("/protected").text == "Logged in as: leafstorm"
    assert client.get("/logout").text == "Logged out"
    assert client.get("/protected").status_code == 401


@both
def test_the_readme_sent_to_sign_in(make: Make) -> None:
    manager = make()
    client = readme(manager).test_client()
    manager.login_view = "login"

    answer = client.get("/protected?a=1")

    assert answer.location == "/login?next=%2Fprotected%3Fa%3D1"
    with client.session_transaction() as session:
        assert session["_flashes"] == [
            ("message", "Please log in to access this page.")
        ]


@both
def test_a_user_by_the_request(make: Make) -> None:
    client = by_request(make()).test_client()

    assert client.get("/settings").text == "do stuff"
    assert client.get("/settings?api_key=1").text == "settings of ann"
    assert client.get("/").text == "Hi a guest"
    assert client.get("/?api_key=1").text == "Hi ann"


@both
def test_the_client_for_tests(make: Make) -> None:
    app = readme(make())
    app.test_client_class = flask_login.FlaskLoginClient
    user = flask_login.UserMixin()
    user.id = "leafstorm"
    client: Client = app.test_client(user=user)

    assert client.get("/protected").text == "Logged in as: leafstorm"


@both
def test_the_signals(make: Make) -> None:
    app = readme(make())
    heard: list[str] = []

    def listen(name: str) -> t.Callable[..., None]:
        return lambda sender, **more: heard.append(name)

    names = ["user_logged_in", "user_logged_out", "user_accessed", "user_unauthorized"]
    receivers = {name: listen(name) for name in names}
    for name, receiver in receivers.items():
        getattr(flask_login, name).connect(receiver, app)
    client = app.test_client()
    client.get("/protected")
    client.post("/login", data={"email": "leafstorm", "password": "secret"})
    client.get("/logout")

    assert heard == [
        "user_accessed",
        "user_unauthorized",
        "user_logged_in",
        "user_accessed",
        "user_logged_out",
    ]


@both
def test_a_session_that_is_protected(make: Make) -> None:
    manager = make()
    manager.session_protection = "strong"
    client = readme(manager).test_client()
    client.post("/login", data={"email": "leafstorm", "password": "secret"})

    other = {"User-Agent": "another"}
    assert client.get("/protected", headers=other).status_code == 401
    assert client.get("/protected").status_code == 401
