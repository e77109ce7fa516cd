"""The blog of Flask's tutorial, ported, does what its chapter on tests asks for."""

from __future__ import annotations

import collections.abc as c
import typing as t

import flask
import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient
from werkzeug.security import generate_password_hash

from . import blog
from .blog import Post
from .blog import User


@pytest.fixture
def app(new_url: c.Callable[[], str]) -> c.Iterator[flask.Flask]:
    app = blog.create_app({"TESTING": True, "SQLALCHEMY_URL": new_url()})
    result = app.test_cli_runner().invoke(args=["init-db"])
    assert "Initialized" in result.output
    with app.app_context():
        names = ["test", "other"]
        users = [
            User(username=name, password=generate_password_hash(name, blog.HASH))
            for name in names
        ]
        blog.sql.session().add_all(users)
        blog.sql.session().add(Post(title="first post", body="hello", author=users[0]))
    yield app
    blog.scopes.close(app)


@pytest.fixture
def client(app: flask.Flask) -> FlaskClient:
    return app.test_client()


def log_in(client: FlaskClient, name: str = "test", password: str = "") -> str:
    form = {"username": name, "password": password or name}
    return client.post("/auth/login", data=form, follow_redirects=True).text


def post_of(app: flask.Flask, number: int) -> Post | None:
    with app.app_context():
        return blog.sql.session().get(Post, number)


def test_register(app: flask.Flask, client: FlaskClient) -> None:
    assert client.get("/auth/register").status_code == 200
    form = {"username": "a", "password": "a"}
    assert client.post("/auth/register", data=form).location == "/auth/login"
    with app.app_context():
        named = sa.select(User).where(User.username == "a")
        assert blog.sql.session().scalars(named).one().id == 3
    assert "Log out" in log_in(client, "a")


@pytest.mark.parametrize(
    ("username", "password", "message"),
    [
        ("", "", "required"),
        ("a", "", "required"),
        ("test", "test", "already registered"),
    ],
)
def test_register_validates(
    client: FlaskClient, username: str, password: str, message: str
) -> None:
    form = {"username": username, "password": password}
    assert message in client.post("/auth/register", data=form).text


def test_log_in_and_out(client: FlaskClient) -> None:
    assert "Log out" in log_in(client)
    with client:
        client.get("/")
        assert flask.session["user_id"] == 1
        client.get("/auth/logout")
        assert "user_id" not in flask.session
    assert "Log in" in client.get("/").text


@pytest.mark.parametrize(
    ("name", "password", "message"),
    [("a", "test", "Incorrect username."), ("test", "a", "Incorrect password.")],
)
def test_log_in_validates(
    client: FlaskClient, name: str, password: str, message: str
) -> None:
    assert message in log_in(client, name, password)


def test_index(client: FlaskClient) -> None:
    page = client.get("/").text
    for text in ("Log in", "first post", "by test", "hello"):
        assert text in page
    assert "Edit" not in page
    log_in(client)
    assert 'href="/1/update"' in client.get("/").text


@pytest.mark.parametrize("path", ["/create", "/1/update", "/1/delete"])
def test_login_required(client: FlaskClient, path: str) -> None:
    assert client.post(path).location == "/auth/login"


def test_author_required(app: flask.Flask, client: FlaskClient) -> None:
    log_in(client, "other")
    form = {"title": "mine", "body": ""}
    assert client.post("/1/update", data=form).status_code == 403
    assert client.post("/1/delete").status_code == 403
    assert "Edit" not in client.get("/").text
    first: t.Any = post_of(app, 1)
    assert first.title == "first post"


@pytest.mark.parametrize("path", ["/2/update", "/2/delete"])
def test_exists_required(client: FlaskClient, path: str) -> None:
    log_in(client)
    assert client.post(path).status_code == 404


def test_create(app: flask.Flask, client: FlaskClient) -> None:
    log_in(client)
    assert client.get("/create").status_code == 200
    client.post("/create", data={"title": "created", "body": ""})
    created: t.Any = post_of(app, 2)
    assert created.title == "created"
    page = client.get("/").text
    assert page.index("created") < page.index("first post")


def test_update(app: flask.Flask, client: FlaskClient) -> None:
    log_in(client)
    assert "first post" in client.get("/1/update").text
    client.post("/1/update", data={"title": "updated", "body": "x"})
    updated: t.Any = post_of(app, 1)
    assert (updated.title, updated.body) == ("updated", "x")


@pytest.mark.parametrize("path", ["/create", "/1/update"])
def test_a_title_is_required(client: FlaskClient, path: str) -> None:
    log_in(client)
    page = client.post(path, data={"title": "", "body": ""}).text
    assert "Title is required." in page


def test_delete(app: flask.Flask, client: FlaskClient) -> None:
    log_in(client)
    assert client.post("/1/delete").location == "/"
    assert post_of(app, 1) is None
