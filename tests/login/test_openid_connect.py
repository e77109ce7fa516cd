"""What the page "OpenID Connect" shows is run, with a provider of our own.

The provider is a real one, though small: it signs with an RSA key, and believes a code
once, from whom it was given to, with the verifier that belongs to it.
"""

from __future__ import annotations

import base64
import collections.abc as c
import contextlib
import dataclasses
import functools
import hashlib
import http.client
import importlib
import json
import pathlib
import re
import secrets
import socket
import sys
import threading
import time
import typing as t
from urllib.parse import parse_qs
from urllib.parse import urlencode
from urllib.parse import urlsplit

import flask
import flask_login  # type: ignore[import-untyped]  # it has no types
import pytest
from flask.testing import FlaskClient as Client
from joserfc import jwt
from joserfc.jwk import OctKey
from joserfc.jwk import RSAKey
from werkzeug.serving import make_server
from werkzeug.test import TestResponse

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "openid-connect.md"
CALLBACK = "http://localhost/login/callback"
CLIENT = ("shop", "a secret of the client")


@dataclasses.dataclass
class Provider:
    """Who says who people are. Its attributes are what it will do next."""

    subject: str = "7"
    """Who is sitting before the browser."""
    claims: dict[str, object] = dataclasses.field(default_factory=dict)
    """What its ID tokens say instead; what is None is left out."""
    error: str = ""
    """What it answers with, instead of a code."""
    spoil: c.Callable[[str], str | None] = str
    """What becomes of an ID token."""
    issuer: str = ""
    codes: dict[str, dict[str, str]] = dataclasses.field(default_factory=dict)
    """What was asked when each was given out."""
    given: list[str] = dataclasses.field(default_factory=list)
    """Tokens of all kinds."""

    def __post_init__(self) -> None:
        self.key, self.listed = new_key("1"), [new_key("0")]
        self.listed.append(self.key)
        self.app = flask.Flask("provider")
        discovery = "/.well-known/openid-configuration"
        self.app.add_url_rule(discovery, view_func=self.discovery)
        self.app.add_url_rule("/keys", view_func=self.keys)
        self.app.add_url_rule("/authorize", view_func=self.authorize)
        self.app.add_url_rule("/token", view_func=self.token, methods=["POST"])

    def discovery(self) -> dict[str, object]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "response_types_supported": ["code"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }

    def keys(self) -> dict[str, object]:
        return {"keys": [each.as_dict(private=False) for each in self.listed]}

    def authorize(self) -> flask.typing.ResponseReturnValue:
        asked = flask.request.args.to_dict()
        if asked["client_id"] != CLIENT[0] or asked["redirect_uri"] != CALLBACK:
            # Nobody is sent to where the client has not said that it is.
            return "unknown client", 400
        answer = {"state": asked["state"]}
        if self.error:
            said = {"error": self.error, "error_description": "<b>call us</b>"}
            return flask.redirect(f"{CALLBACK}?{urlencode(answer | said)}")
        assert asked["response_type"] == "code"
        assert "openid" in asked["scope"].split()
        assert asked["code_challenge_method"] == "S256"
        answer["code"] = secrets.token_urlsafe()
        self.codes[answer["code"]] = asked | {"subject": self.subject}
        return flask.redirect(f"{CALLBACK}?{urlencode(answer)}")

    def token(self) -> flask.typing.ResponseReturnValue:
        form, who = flask.request.form, flask.request.authorization
        if who is None or (who.username, who.password) != CLIENT:
            return {"error": "invalid_client"}, 401
        asked = self.codes.pop(form["code"], None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if (
            asked is None
            or form["grant_type"] != "authorization_code"
            or form["redirect_uri"] != asked["redirect_uri"]
            or challenge != asked["code_challenge"]
        ):
            return {"error": "invalid_grant"}, 400
        answer = {"access_token": secrets.token_urlsafe(), "token_type": "Bearer"}
        id_token = self.spoil(self.id_token(asked))
        if id_token is not None:
            answer["id_token"] = id_token
        self.given += answer["access_token"], answer.get("id_token", "")
        return answer

    def id_token(self, asked: dict[str, str]) -> str:
        claims = {
            "iss": self.issuer,
            "aud": CLIENT[0],
            "sub": asked["subject"],
            "nonce": asked["nonce"],
            "iat": int(time.time()),
            "exp": int(time.time()) + 600,
            "name": f"Ann {asked['subject']}",
            "email": "ann@example.org",
        } | self.claims
        claims = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode({"alg": "RS256", "kid": self.key.kid}, claims, self.key)

    @contextlib.contextmanager
    def served(self) -> c.Iterator[None]:
        server = make_server("127.0.0.1", 0, self.app, threaded=True)
        self.issuer = f"http://127.0.0.1:{server.port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def ask(self, url: str) -> tuple[int, str]:
        """What a browser gets that is sent to *url* there: a status, and to where."""
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(parts.netloc, timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", f"{parts.path}?{parts.query}")
            response = connection.getresponse()
            return response.status, response.headers.get("Location", "")


@functools.cache
def new_key(kid: str) -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": kid, "use": "sig"}, private=True)


@pytest.fixture
def provider() -> c.Iterator[Provider]:
    made = Provider()
    with made.served():
        yield made


@pytest.fixture
def web(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, provider: Provider
) -> c.Iterator[t.Any]:
    """The page's blocks, one after the other, as one module."""
    monkeypatch.setenv("SECRET_KEY", "a key for tests")
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/web.db")
    monkeypatch.setenv("OPENID_ISSUER", provider.issuer)
    monkeypatch.setenv("OPENID_CLIENT_ID", CLIENT[0])
    monkeypatch.setenv("OPENID_CLIENT_SECRET", CLIENT[1])
    # Whatever else is asked by a proxy.
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delitem(sys.modules, "web", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
    (tmp_path / "web.py").write_text("\n".join(blocks))
    module: t.Any = importlib.import_module("web")
    private = flask_login.login_required(lambda: "private")
    module.app.add_url_rule("/private", "private", private)
    yield module
    module.scopes.close(module.app)


class Browser:
    """Somebody's."""

    def __init__(self, web: t.Any, provider: Provider) -> None:
        self.client: Client = web.app.test_client()
        self.provider = provider

    def begin(self, path: str = "/login") -> str:
        """Ask to sign in; the address at the provider."""
        response = self.client.get(path)
        assert response.status_code == 302
        assert response.location.startswith(f"{self.provider.issuer}/authorize?")
        return response.location

    def answer(self, url: str) -> str:
        """Be at the provider; the address to come back to."""
        status, location = self.provider.ask(url)
        assert status == 302
        assert location.startswith(f"{CALLBACK}?")
        return location

    def come_back(self, url: str) -> TestResponse:
        return self.client.get(url.removeprefix("http://localhost"))

    def sign_in(self, path: str = "/login") -> TestResponse:
        return self.come_back(self.answer(self.begin(path)))

    @property
    def who(self) -> str:
        return self.client.get("/").text

    @property
    def session(self) -> dict[str, t.Any]:
        with self.client.session_transaction() as session:
            return dict(session)

    @property
    def cookie(self) -> str:
        cookie = self.client.get_cookie("__Host-session")
        assert cookie
        return cookie.value


@pytest.fixture
def browser(web: t.Any, provider: Provider) -> Browser:
    return Browser(web, provider)


@pytest.fixture
def another(web: t.Any, provider: Provider) -> Browser:
    return Browser(web, provider)


def accounts(web: t.Any) -> list[tuple[str, str]]:
    with web.app.app_context():
        rows = web.sql.session().scalars(web.select(web.Row).order_by(web.Row.id))
        return [(each.issuer, each.subject) for each in rows]


def asked(url: str) -> dict[str, str]:
    return {name: value for name, (value,) in parse_qs(urlsplit(url).query).items()}


def changed(url: str, **to: str) -> str:
    return f"{url.partition('?')[0]}?{urlencode(asked(url) | to)}"


def encoded(what: object) -> str:
    text = json.dumps(what).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


# ---- Whose account it is


def test_somebody_signs_in_and_out(
    web: t.Any, provider: Provider, browser: Browser
) -> None:
    assert browser.who == "nobody"
    response = browser.sign_in()

    assert (response.status_code, response.location) == (302, "/")
    assert browser.who == "Ann 7"
    assert accounts(web) == [(provider.issuer, "7")]
    assert browser.client.get("/logout").status_code == 405
    assert browser.who == "Ann 7"
    browser.client.post("/logout")
    assert browser.who == "nobody"


def test_each_sign_in_has_values_of_its_own(browser: Browser) -> None:
    one, two = asked(browser.begin()), asked(browser.begin())

    for name in ("state", "nonce", "code_challenge"):
        assert len(one[name]) >= 20
        assert one[name] != two[name]


def test_the_second_time_the_same_account_is_found(
    web: t.Any, provider: Provider, browser: Browser, another: Browser
) -> None:
    browser.sign_in()
    provider.claims = {"email": "new@example.org", "name": "Ann Other"}
    another.sign_in()

    assert another.session["_user_id"] == browser.session["_user_id"]
    assert len(accounts(web)) == 1


def test_two_people_with_one_address_have_two_accounts(
    web: t.Any, provider: Provider, browser: Browser, another: Browser
) -> None:
    browser.sign_in()
    provider.subject, provider.claims = "8", {"email_verified": True}
    another.sign_in()

    assert (browser.who, another.who) == ("Ann 7", "Ann 8")
    assert accounts(web) == [(provider.issuer, "7"), (provider.issuer, "8")]


@pytest.mark.parametrize(
    ("other", "said"), [("elsewhere", "ann"), ("here", "ANN"), ("here", "ann ")]
)
def test_an_account_is_of_one_issuer_and_one_subject(
    web: t.Any, provider: Provider, browser: Browser, other: str, said: str
) -> None:
    issuer = provider.issuer if other == "here" else "https://other.example.org"
    with web.app.app_context():
        more = {"issuer": issuer, "subject": said, "name": "Another"}
        web.users.add("ann@example.org", None, **more)
    provider.subject = "ann"
    browser.sign_in()

    assert browser.who == "Ann ann"
    assert accounts(web) == [(issuer, said), (provider.issuer, "ann")]


def test_no_letter_and_no_password_leads_to_the_account(
    web: t.Any, browser: Browser
) -> None:
    browser.sign_in()
    letters: list[object] = []

    with web.app.app_context():
        row = web.sql.session().scalars(web.select(web.Row)).one()
        for address in ("ann@example.org", row.email):
            web.login.send_reset(address, lambda *letter: letters.append(letter))
            assert web.login.check(address, "") is None
    assert letters == []


# ---- What is refused


def test_a_state_of_nobody_is_refused(browser: Browser) -> None:
    url = browser.answer(browser.begin())

    for state in ("made-up", ""):
        assert browser.come_back(changed(url, state=state)).status_code == 400
    assert browser.client.get("/login/callback").status_code == 400
    assert browser.who == "nobody"
    # It was this alone.
    assert browser.come_back(url).status_code == 302


def test_what_one_has_begun_another_cannot_finish(
    browser: Browser, another: Browser
) -> None:
    another.begin()
    url = browser.answer(browser.begin())

    assert another.come_back(url).status_code == 400
    assert another.who == "nobody"


def test_a_code_of_one_is_worth_nothing_to_another(
    browser: Browser, another: Browser
) -> None:
    stolen = asked(browser.answer(browser.begin()))["code"]
    url = another.answer(another.begin())

    assert another.come_back(changed(url, code=stolen)).status_code == 400
    assert another.who == "nobody"


def test_an_answer_is_good_once(provider: Provider, browser: Browser) -> None:
    url = browser.answer(browser.begin())
    browser.come_back(url)
    browser.client.post("/logout")

    assert browser.come_back(url).status_code == 400
    # Nor with another state, that is good.
    code = asked(url)["code"]
    assert (
        browser.come_back(
            changed(browser.answer(browser.begin()), code=code)
        ).status_code
        == 400
    )
    assert browser.who == "nobody"


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "another"},
        {"aud": ["another"], "azp": CLIENT[0]},
        {"aud": None},
        {"aud": [CLIENT[0], "another"], "azp": "another"},
        {"iss": "https://other.example.org"},
        {"iss": None},
        {"exp": 1_000_000_000},
        {"exp": None},
        {"iat": None},
        {"nbf": 100_000_000_000},
        {"sub": None},
        {"sub": ""},
    ],
    ids=str,
)
def test_an_id_token_that_says_something_else_is_refused(
    web: t.Any, provider: Provider, browser: Browser, claims: dict[str, object]
) -> None:
    provider.claims = claims

    assert browser.sign_in().status_code == 401
    assert browser.who == "nobody"
    assert accounts(web) == []
    provider.claims = {}
    assert browser.sign_in().status_code == 302


def by_another_key(token: str) -> str:
    """With the id of the one that is listed."""
    claims = jwt.decode(token, new_key("1")).claims
    thief = RSAKey.generate_key(2048, {"kid": "1"}, private=True)
    return jwt.encode({"alg": "RS256", "kid": "1"}, claims, thief)


def by_an_unknown_key(token: str) -> str:
    claims = jwt.decode(token, new_key("1")).claims
    return jwt.encode({"alg": "RS256", "kid": "2"}, claims, new_key("2"))


def by_the_public_key(token: str) -> str:
    """As if that were a secret that both have."""
    claims = jwt.decode(token, new_key("1")).claims
    secret = new_key("1").as_dict(private=False)
    key = OctKey.import_key(json.dumps(secret))
    return jwt.encode({"alg": "HS256", "kid": "1"}, claims, key)


def by_nobody(token: str) -> str:
    return f"{encoded({'alg': 'none', 'kid': '1'})}.{token.split('.')[1]}."


def with_other_claims(token: str) -> str:
    head, _, signature = token.split(".")
    claims = jwt.decode(token, new_key("1")).claims | {"sub": "1"}
    return f"{head}.{encoded(claims)}.{signature}"


def cut_off(token: str) -> str:
    return token[:-10]


def rubbish(token: str) -> str:
    return "rubbish"


def left_out(token: str) -> None:
    return None


@pytest.mark.parametrize(
    "spoil",
    [
        by_another_key,
        by_an_unknown_key,
        by_the_public_key,
        by_nobody,
        with_other_claims,
        cut_off,
        rubbish,
        left_out,
    ],
)
def test_an_id_token_that_the_provider_has_not_signed_is_refused(
    web: t.Any,
    provider: Provider,
    browser: Browser,
    spoil: c.Callable[[str], str | None],
) -> None:
    provider.spoil = spoil

    assert browser.sign_in().status_code == 401
    assert browser.who == "nobody"
    assert accounts(web) == []
    provider.spoil = str
    assert browser.sign_in().status_code == 302


def test_a_key_that_is_new_is_found(provider: Provider, browser: Browser) -> None:
    browser.sign_in()
    browser.client.post("/logout")
    provider.key = new_key("2")
    provider.listed = [provider.key]

    assert browser.sign_in().status_code == 302
    assert browser.who == "Ann 7"


@pytest.mark.parametrize("error", ["access_denied", "server_error"])
def test_what_the_provider_says_of_an_error_is_on_no_page(
    provider: Provider, browser: Browser, error: str
) -> None:
    provider.error = error
    response = browser.sign_in()

    assert response.status_code == 400
    assert response.text == "You were not signed in. Please try again."
    provider.error = ""
    assert browser.sign_in().status_code == 302


def test_a_provider_that_is_away_is_said_to_be(
    web: t.Any, monkeypatch: pytest.MonkeyPatch, browser: Browser
) -> None:
    url = browser.answer(browser.begin())
    # Where nobody listens.
    monkeypatch.setitem(
        web.provider.server_metadata, "token_endpoint", "http://127.0.0.1:1/token"
    )

    assert browser.come_back(url).status_code == 503
    assert browser.who == "nobody"
    monkeypatch.delitem(web.provider.server_metadata, "_loaded_at")
    away = "http://127.0.0.1:1/.well-known/openid-configuration"
    monkeypatch.setattr(web.provider, "_server_metadata_url", away)
    assert browser.client.get("/login").status_code == 503


def test_a_provider_that_says_nothing_is_not_waited_for(
    web: t.Any, monkeypatch: pytest.MonkeyPatch, browser: Browser
) -> None:
    url = browser.answer(browser.begin())
    options, metadata = web.provider.client_kwargs, web.provider.server_metadata
    patience = options["default_timeout"]
    monkeypatch.setitem(options, "default_timeout", patience / 100)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host, port = silent.getsockname()
        monkeypatch.setitem(metadata, "token_endpoint", f"http://{host}:{port}/token")

        assert browser.come_back(url).status_code == 503


def test_a_refusal_leaves_the_session_as_it_was(
    provider: Provider, browser: Browser
) -> None:
    url = browser.answer(browser.begin())
    before = browser.session
    provider.claims = {"nonce": "another"}

    assert browser.come_back(url).status_code == 401
    assert f"_state_openid_{asked(url)['state']}" in before
    assert browser.session == before


def test_an_account_that_is_closed_is_not_signed_in(
    web: t.Any, monkeypatch: pytest.MonkeyPatch, browser: Browser
) -> None:
    monkeypatch.setattr(web.Row, "is_active", False)

    assert browser.sign_in().status_code == 403
    assert browser.who == "nobody"
    assert "_user_id" not in browser.session


# ---- Where to go, and what the session has


@pytest.mark.parametrize(
    ("said", "to"),
    [
        ("/private?page=2", "/private?page=2"),
        ("https://evil.example.org/", "/"),
        ("//evil.example.org/", "/"),
        ("/\\evil.example.org/", "/"),
        ("javascript:alert(1)", "/"),
    ],
)
def test_a_login_leads_to_a_path_on_this_site(
    browser: Browser, said: str, to: str
) -> None:
    assert browser.sign_in(f"/login?{urlencode({'next': said})}").location == to


def test_what_the_answer_says_is_not_where_to_go(browser: Browser) -> None:
    url = browser.answer(browser.begin("/login?next=/private"))

    assert browser.come_back(f"{url}&next=/elsewhere").location == "/private"
    assert browser.sign_in().location == "/"


def test_who_asks_for_a_private_page_gets_there(browser: Browser) -> None:
    response = browser.client.get("/private")
    assert response.status_code == 302

    there = browser.sign_in(response.location).location
    assert browser.client.get(there).text == "private"


def test_no_token_of_the_provider_is_kept(
    tmp_path: pathlib.Path, provider: Provider, browser: Browser
) -> None:
    response = browser.sign_in()

    assert not [each for each in browser.session if each.startswith("_state")]
    kept = b"".join(each.read_bytes() for each in tmp_path.glob("web.db*"))
    kept += str(response.headers).encode()
    assert provider.issuer.encode() in kept
    assert len(provider.given) == 2
    for token in provider.given:
        assert token.encode() not in kept


def test_the_session_is_another_one_after_a_login(
    browser: Browser, another: Browser
) -> None:
    url = browser.answer(browser.begin())
    before = browser.cookie
    browser.come_back(url)

    assert browser.cookie != before
    another.client.set_cookie("__Host-session", before)
    assert another.who == "nobody"
    another.client.set_cookie("__Host-session", browser.cookie)
    assert another.who == "Ann 7"


def test_what_another_user_had_in_the_session_is_gone(
    provider: Provider, browser: Browser
) -> None:
    with browser.client.session_transaction() as session:
        session["basket"] = "tea"
    browser.sign_in()
    assert browser.session["basket"] == "tea"
    provider.subject = "8"
    browser.sign_in()

    assert browser.who == "Ann 8"
    assert "basket" not in browser.session


# ---- Other sites


def test_another_site_signs_nobody_out(browser: Browser) -> None:
    browser.sign_in()
    said = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example.org"}

    assert browser.client.post("/logout", headers=said).status_code == 403
    assert browser.who == "Ann 7"


def test_an_answer_by_post_is_refused_until_its_origin_is_named(
    web: t.Any, provider: Provider, browser: Browser
) -> None:
    said = {"Sec-Fetch-Site": "cross-site", "Origin": provider.issuer}
    path = "/login/callback"

    assert browser.client.post(path, headers=said).status_code == 403
    web.app.config["SCOPES_TRUSTED_ORIGINS"] = [provider.issuer]
    # The page's view takes none.
    assert browser.client.post(path, headers=said).status_code == 405
    said["Origin"] = "null"
    assert browser.client.post(path, headers=said).status_code == 403
