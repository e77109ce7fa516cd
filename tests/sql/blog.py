"""The blog of Flask's tutorial, ported: no `get_db`, no `close_db`, no `commit`.

https://flask.palletsprojects.com/en/stable/tutorial/
"""

from __future__ import annotations

import collections.abc as c
import functools
import typing as t
from datetime import datetime

import flask
import sqlalchemy as sa
from flask.typing import ResponseReturnValue
from jinja2 import DictLoader
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column
from sqlalchemy.orm import relationship
from werkzeug.security import check_password_hash
from werkzeug.security import generate_password_hash

from flask_scopes import Scopes
from flask_scopes.sqlalchemy import SQL
from flask_scopes.sqlalchemy import get_or_404

scopes = Scopes()
sql = SQL(scopes)
auth = flask.Blueprint("auth", __name__, url_prefix="/auth")
blog = flask.Blueprint("blog", __name__)
HASH: t.Final = "pbkdf2:sha256:1000"  # which a test need not wait for


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "user"
    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(unique=True)
    password: Mapped[str]


class Post(Base):
    __tablename__ = "post"
    id: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[int] = mapped_column(sa.ForeignKey(User.id))
    created: Mapped[datetime] = mapped_column(server_default=sa.func.now())
    title: Mapped[str]
    body: Mapped[str]
    author: Mapped[User] = relationship()


@scopes.request
def current_user() -> User | None:
    number: int | None = flask.session.get("user_id")
    return None if number is None else sql.session().get(User, number)


View = t.TypeVar("View", bound=c.Callable[..., ResponseReturnValue])


def login_required(view: View) -> View:
    @functools.wraps(view)
    def wrapped(**kwargs: t.Any) -> ResponseReturnValue:
        if current_user() is None:
            return flask.redirect(flask.url_for("auth.login"))
        return view(**kwargs)

    return t.cast(View, wrapped)


@auth.route("/register", methods=["GET", "POST"])
def register() -> ResponseReturnValue:
    form = flask.request.form
    if flask.request.method == "POST":
        if not form["username"] or not form["password"]:
            flask.flash("Username and password are required.")
        else:
            password = generate_password_hash(form["password"], HASH)
            user = User(username=form["username"], password=password)
            try:
                with sql.session().begin_nested():
                    sql.session().add(user)
            except IntegrityError:
                flask.flash(f"User {user.username} is already registered.")
            else:
                return flask.redirect(flask.url_for("auth.login"))
    return flask.render_template("form.html", title="Register")


@auth.route("/login", methods=["GET", "POST"])
def login() -> ResponseReturnValue:
    form = flask.request.form
    if flask.request.method == "POST":
        named = sa.select(User).where(User.username == form["username"])
        user = sql.session().scalars(named).first()
        if user is None:
            flask.flash("Incorrect username.")
        elif not check_password_hash(user.password, form["password"]):
            flask.flash("Incorrect password.")
        else:
            flask.session.clear()
            flask.session["user_id"] = user.id
            return flask.redirect(flask.url_for("index"))
    return flask.render_template("form.html", title="Log in")


@auth.get("/logout")
def logout() -> ResponseReturnValue:
    flask.session.clear()
    return flask.redirect(flask.url_for("index"))


@blog.get("/")
def index() -> str:
    latest = sa.select(Post).order_by(Post.created.desc(), Post.id.desc())
    posts = sql.session().scalars(latest).all()
    return flask.render_template("index.html", posts=posts)


def own_post(number: int) -> Post:
    post = get_or_404(sql.session(), Post, number)
    if post.author is not current_user():
        flask.abort(403)
    return post


@blog.route("/create", methods=["GET", "POST"])
@login_required
def create() -> ResponseReturnValue:
    form = flask.request.form
    if flask.request.method == "POST":
        if form["title"]:
            post = Post(title=form["title"], body=form["body"], author=current_user())
            sql.session().add(post)
            return flask.redirect(flask.url_for("index"))
        flask.flash("Title is required.")
    return flask.render_template("form.html", title="New post")


@blog.route("/<int:id>/update", methods=["GET", "POST"])
@login_required
def update(id: int) -> ResponseReturnValue:  # noqa: A002  # as the tutorial has it
    post, form = own_post(id), flask.request.form
    if flask.request.method == "POST":
        if form["title"]:
            post.title, post.body = form["title"], form["body"]
            return flask.redirect(flask.url_for("index"))
        flask.flash("Title is required.")
    return flask.render_template("form.html", title=f'Edit "{post.title}"')


@blog.post("/<int:id>/delete")
@login_required
def delete(id: int) -> ResponseReturnValue:  # noqa: A002  # the same
    sql.session().delete(own_post(id))
    return flask.redirect(flask.url_for("index"))


TEMPLATES = {
    "base.html": """
        {% if current_user() %}{{ current_user().username }}
        <a href="/auth/logout">Log out</a>
        {% else %}<a href="/auth/register">Register</a> <a href="/auth/login">Log in</a>
        {% endif %}
        {% for message in get_flashed_messages() %}<p>{{ message }}</p>{% endfor %}
        {% block content %}{% endblock %}
    """,
    "form.html": """
        {% extends "base.html" %}{% block content %}<h1>{{ title }}</h1>{% endblock %}
    """,
    "index.html": """
        {% extends "base.html" %}{% block content %}{% for post in posts %}
        <h2>{{ post.title }}</h2>by {{ post.author.username }} on
        {{ post.created.strftime("%Y-%m-%d") }}
        {% if post.author is sameas current_user() %}
        <a href="{{ url_for("blog.update", id=post.id) }}">Edit</a>{% endif %}
        <p>{{ post.body }}</p>{% endfor %}{% endblock %}
    """,
}


def create_app(config: dict[str, t.Any]) -> flask.Flask:
    app = flask.Flask("blog")
    app.config.from_mapping(
        SECRET_KEY="dev",  # the tutorial's
        SQLALCHEMY_URL="sqlite:///flaskr.sqlite",
        SCOPES_READ_ONLY_GET=True,
    )
    app.config.update(config)
    app.jinja_loader = DictLoader(TEMPLATES)
    app.jinja_env.globals["current_user"] = current_user
    app.register_blueprint(auth)
    app.register_blueprint(blog)
    app.add_url_rule("/", endpoint="index")
    scopes.init_app(app)

    @app.cli.command("init-db")
    def init_db() -> None:
        Base.metadata.drop_all(sql.engine())
        Base.metadata.create_all(sql.engine())
        print("Initialized the database.")  # noqa: T201  # to who calls it

    return app
