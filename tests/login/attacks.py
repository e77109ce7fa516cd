"""Attacks on signing in, against Flask-Login and against ours: what each came to is in
a table in docs/attacks.md.
"""

from __future__ import annotations

import collections.abc as c
import re
import threading
import typing as t

from flask.testing import FlaskClient as Client
from werkzeug.test import create_environ

from .targets import OWNER
from .targets import OWNERS_ADDRESS
from .targets import PASSWORD
from .targets import STRANGERS_ADDRESS
from .targets import Moment
from .targets import Ours
from .targets import Target
from .targets import guess

Outcome: t.TypeAlias = str

THIEF = "eve@example.com"

# What browsers say of a request that a page of another site has made them send.
FROM_ELSEWHERE: list[dict[str, str]] = [
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
    {"Origin": "https://evil.localhost", "Sec-Fetch-Site": "same-site"},
    {"Origin": "https://evil.example"},
    {"Origin": "http://localhost.evil.example"},
    {"Origin": "http://localhost@evil.example"},
    {"Origin": "http://localhost:8000"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Sec-Fetch-Site": "cross-site"},
]

NEXT = [
    "https://evil.example",
    "HTTPS://evil.example",
    "//evil.example",
    "///evil.example",
    "////evil.example/x",
    "/\\evil.example",
    "\\\\evil.example",
    "\\/evil.example",
    "/\t/evil.example",
    "\t//evil.example",
    "/\n/evil.example",
    "/\r/evil.example",
    "\r\n//evil.example",
    "/\t\\evil.example",
    " //evil.example",
    "\x00//evil.example",
    "\x1f//evil.example",
    "\x0b//evil.example",
    "http:evil.example",
    "https:evil.example",
    "https:/evil.example",
    "https:\\\\evil.example",
    "https:///evil.example",
    "ht\ttps://evil.example",
    "//user@evil.example",
    "//localhost@evil.example",
    "//evil.example\\@localhost",
    "http://localhost:80@evil.example",
    "//[::1]/x",
    "//[",
    "javascript:alert(1)",
    "java\tscript:alert(1)",
    "data:text/html,x",
    "/%09/evil.example",
    "/%2f/evil.example",
    "/%5cevil.example",
    "/ /evil.example",
    "\uff0f\uff0fevil.example",
    "/\uff0fevil.example",
    "/\u2215evil.example",
    "/\u3000/evil.example",
    "\u2028//evil.example",
    "/.//evil.example",
    "/..//evil.example",
    "evil.example",
    "",
]


# ---- Whom a request is taken for


def left_behind(target: Target) -> Outcome:
    """A server closes the body of somebody's page on another thread. Who is the next
    visitor, on the first one?
    """
    victim = target.signed_in()
    cookies = {"Cookie": f"session={target.cookie(victim)}"}
    environ = create_environ("/stream", headers=cookies)
    body: t.Any = target.app(environ, lambda *args: lambda written: None)
    assert next(iter(body)) == OWNER.encode()
    errors: list[Exception] = []

    def close() -> None:
        try:
            body.close()
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=close)
    thread.start()
    thread.join(20)
    return "the user before" if target.who() == OWNER else target.who()


def context_by_hand(target: Target) -> Outcome:
    """Two requests within a context that somebody has pushed."""
    victim = target.signed_in()
    with target.app.app_context():
        assert victim.get("/").text == OWNER
        found = target.who()
    return "the user before" if found == OWNER else found


def left_in_session(target: Target) -> Outcome:
    """Two people share a browser: what does the next one find?"""
    target.register(THIEF)
    found = []
    for leave in ("sign-out", "nothing"):
        browser = target.signed_in()
        browser.post("/basket")
        if leave == "sign-out":
            browser.post("/sign-out")
        else:
            guess(browser, PASSWORD, THIEF)
        found.append(browser.get("/basket").text)
    return "gone" if found == ["empty"] * 2 else "still there"


# ---- Remember me


def copied_then_logout(target: Target) -> Outcome:
    """The attacker has copied the cookie before the victim signs out."""
    victim = target.signed_in(remember="yes")
    copied = target.cookie(victim, "remember_token")
    victim.post("/sign-out")
    return called(target.who(remember_token=copied))


def used_then_logout(target: Target) -> Outcome:
    """And has used it before, while the session of the victim was good."""
    victim = target.signed_in(remember="yes")
    thief = target.browser(remember_token=target.cookie(victim, "remember_token"))
    assert thief.get("/").text == OWNER
    victim.post("/sign-out")
    return called(thief.get("/").text)


def copied_then_password_there(target: Target) -> Outcome:
    """The victim has learnt of it, and chooses another password in that browser."""
    victim = target.signed_in(remember="yes")
    return copies_after_password(target, victim, victim)


def copied_then_password_elsewhere(target: Target) -> Outcome:
    """The same, in another browser."""
    victim = target.signed_in(remember="yes")
    return copies_after_password(target, victim, target.signed_in())


def copies_after_password(target: Target, victim: Client, other: Client) -> str:
    session = target.cookie(victim)
    device = target.cookie(victim, "remember_token")
    assert other.post("/password", data={"password": "another"}).text == "changed"
    assert other.get("/").text == OWNER
    found = {target.who(session=session), target.who(remember_token=device)}
    return called(OWNER if OWNER in found else "nobody")


def copied_then_used(target: Target) -> Outcome:
    """Both use it, first the victim, and then the attacker; or the other way round."""
    found = {both_use_it(target, first, seconds=20) for first in ("owner", "thief")}
    return " or ".join(sorted(found))


def copied_then_used_at_once(target: Target) -> Outcome:
    """The attacker is quick."""
    return both_use_it(target, "owner", seconds=5)


def copied_then_used_late(target: Target) -> Outcome:
    """The victim uses it on a page that has asked SQLite for something before."""
    return both_use_it(target, "owner", seconds=20, query="?looks=1")


def both_use_it(target: Target, first: str, seconds: float, query: str = "") -> str:
    moment = Moment()
    target.at(moment)
    owner = target.signed_in(remember="yes")
    # The session of the owner is over.
    owner.delete_cookie("session")
    thief = target.browser(remember_token=target.cookie(owner, "remember_token"))
    one, other = (owner, thief) if first == "owner" else (thief, owner)
    for _ in range(2):
        assert one.get(f"/{query}").text == OWNER
    moment.pass_by(seconds=seconds)
    other.get("/")
    found = {one.get("/").text, other.get("/").text}
    if found == {OWNER}:
        return "signed in"
    return "both are signed out" if found == {"nobody"} else "one is signed in"


def copied_then_used_once(target: Target) -> Outcome:
    """The attacker looks at one page only, and comes back after the victim."""
    moment = Moment()
    target.at(moment)
    owner = target.signed_in(remember="yes")
    owner.delete_cookie("session")
    thief = target.browser(remember_token=target.cookie(owner, "remember_token"))
    assert thief.get("/").text == OWNER
    moment.pass_by(seconds=20)
    assert owner.get("/").text == OWNER
    return called(thief.get("/").text)


def next_one_restarts(target: Target) -> Outcome:
    """Where somebody is remembered, another one signs in, and opens the browser again
    the next day: as whom do they go on?
    """
    target.register(THIEF)
    browser = target.signed_in(remember="yes")
    guess(browser, PASSWORD, THIEF)
    assert browser.get("/").text == THIEF
    browser.delete_cookie("session")
    return "as the user before" if browser.get("/").text == OWNER else "as nobody"


def copied_long_ago(target: Target) -> Outcome:
    """The cookie was good for a year."""
    moment = Moment()
    target.at(moment)
    victim = target.signed_in(remember="yes")
    copied = target.cookie(victim, "remember_token")
    moment.pass_by(days=366)
    return called(target.who(remember_token=copied))


def key_rotated(target: Target) -> Outcome:
    """No attack: the app has another key, and its users come back."""
    user = target.signed_in(remember="yes")
    was = target.app.config["SECRET_KEY"]
    target.app.config.update(SECRET_KEY="another", SECRET_KEY_FALLBACKS=[was])
    return called(target.who(remember_token=target.cookie(user, "remember_token")))


# ---- Sessions


def copied_session(target: Target) -> Outcome:
    """The attacker has copied the cookie of a session, and claims to be where the
    victim is.
    """
    target.app.config["SESSION_PROTECTION"] = "strong"
    victim = target.signed_in()
    thief = target.browser(session=target.cookie(victim))

    def taken_for() -> str:
        headers = {"X-Forwarded-For": OWNERS_ADDRESS}
        base = {"REMOTE_ADDR": STRANGERS_ADDRESS}
        return thief.get("/", headers=headers, environ_base=base).text

    first = taken_for()
    victim.post("/sign-out", environ_base={"REMOTE_ADDR": OWNERS_ADDRESS})
    after = taken_for()
    if first != OWNER:
        return "nobody"
    return "signed in, and stays so" if after == OWNER else "signed in, until then"


def fresh_for_ever(target: Target) -> Outcome:
    """Somebody left a browser open, and another one comes three hours later."""
    moment = Moment()
    target.at(moment)
    browser = target.signed_in()
    assert browser.get("/account").text == "yours"
    moment.pass_by(hours=3)
    return "let in" if browser.get("/account").status_code == 200 else "asked again"


# ---- Guessing


def one_after_another(target: Target) -> Outcome:
    """The attacker tries fifty passwords."""
    return tried(target, [{}] * 50)


def forged_addresses(target: Target) -> Outcome:
    """And claims to be somebody else each time."""
    names = ["X-Forwarded-For", "X-Real-Ip", "Forwarded"]
    return tried(target, [dict.fromkeys(names, f"10.0.0.{at}") for at in range(50)])


def after_a_query(target: Target) -> Outcome:
    """And the view has asked SQLite for something before."""
    return tried(target, [{}] * 50, looks="yes")


def other_spellings(target: Target) -> Outcome:
    """And writes the address in another way each time."""
    spellings = [
        OWNER.upper(),
        f" {OWNER}",
        OWNER.title(),
        OWNER.replace("a", "\uff41"),
    ]
    return tried(target, [{}] * 48, emails=spellings * 12)


def tried(
    target: Target,
    headers: list[dict[str, str]],
    emails: c.Sequence[str] = (),
    **form: str,
) -> str:
    target.at(Moment())
    for at, each in enumerate(headers):
        email = emails[at] if emails else OWNER
        guess(
            target.browser(),
            f"guess {at}",
            email,
            address=STRANGERS_ADDRESS,
            headers=each,
            form=form,
        )
    count = len(target.work)
    if not count:
        return "none is the owner's"
    return "all were tried" if count == len(headers) else f"{count} were tried"


def all_at_once(target: Target) -> Outcome:
    """The attacker tries thirty passwords in parallel."""
    target.at(Moment())
    start = threading.Barrier(30)

    def attack(at: int) -> None:
        browser = target.browser()
        start.wait(20)
        guess(browser, f"guess {at}", address=STRANGERS_ADDRESS)

    threads = [threading.Thread(target=attack, args=[at]) for at in range(30)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    count = len(target.work)
    if count == 30:
        return "all were tried"
    # Fewer than are free, if others were quicker each time.
    return "up to 5 were tried" if 1 <= count <= 5 else f"{count} were tried"


def lock_out(target: Target) -> Outcome:
    """A stranger tries wrong passwords, to keep the owner out."""
    target.at(Moment())
    target.signed_in()
    for at in range(50):
        guess(target.browser(), f"guess {at}", address=STRANGERS_ADDRESS)
    places = {"at home": OWNERS_ADDRESS, "where she never was": "192.0.2.1"}
    kept_out = [
        name
        for name, address in places.items()
        if guess(target.browser(), PASSWORD, address=address).status_code != 302
    ]
    return f"only {' and '.join(kept_out)}" if kept_out else "no"


def who_has_an_account(target: Target) -> Outcome:
    """How much work is an attempt, for who is known and who is not?"""
    emails = [OWNER, "nobody@example.org", "no address"]
    if isinstance(target, Ours):
        # Who signs in elsewhere.
        target.register("bob@example.org", None)
        emails.append("bob@example.org")
    found = []
    for email in emails:
        target.work.clear()
        response = guess(target.browser(), "wrong", email)
        found.append((response.status_code, response.text, *target.work))
    return "the same work" if len({*found}) == 1 else "one can tell"


# ---- Other sites


def open_redirect(target: Target) -> Outcome:
    """A link to the page to sign in says where to go next."""
    here = "/basket?a=%2F%2Fb#c"
    response = guess(target.browser(), PASSWORD, query={"next": here})
    assert response.headers["Location"] == here
    for said in NEXT:
        response = guess(target.browser(), PASSWORD, query={"next": said})
        if destination(response.headers.get("Location", "")) != "localhost":
            return "leads away"
    return "stays here"


def destination(location: str) -> str:
    """The host that a browser goes to, or a scheme: as the URL Standard has it."""
    # 4.4: control characters and spaces around it, and what is left out of it.
    location = location.strip("".join(map(chr, range(0x21))))
    for each in "\t\n\r":
        location = location.replace(each, "")
    scheme, colon, rest = location.partition(":")
    if not colon or not re.fullmatch("[A-Za-z][A-Za-z0-9+.-]*", scheme):
        scheme, rest = "http", location
    elif scheme.lower() not in {"http", "https"}:
        return f"{scheme}:"
    elif scheme.lower() == "https":
        # Not the scheme of this page: an authority follows, with slashes or without.
        rest = "//" + rest.lstrip("/\\")
    rest = rest.replace("\\", "/")
    if not rest.startswith("//"):
        return "localhost"
    authority = rest.lstrip("/").partition("/")[0].partition("?")[0].partition("#")[0]
    return authority.rpartition("@")[2]


def link_out(target: Target) -> Outcome:
    """A page elsewhere has a link, or a picture, that signs out."""
    victim = target.signed_in()
    for method in ("GET", "HEAD"):
        victim.open("/sign-out", method=method)
    return "refused" if victim.get("/").text == OWNER else "signed out"


def form_in(target: Target) -> Outcome:
    """A page elsewhere signs the victim in as the attacker."""
    target.register(THIEF)
    found = set()
    for headers in FROM_ELSEWHERE:
        victim = target.browser()
        guess(victim, PASSWORD, THIEF, headers=headers)
        found.add(victim.get("/").text)
    return "refused" if found == {"nobody"} else "signed in as the attacker"


def form_as_victim(target: Target) -> Outcome:
    """A page elsewhere sends a form as the victim."""
    victim = target.signed_in()
    honest = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
    assert victim.post("/basket", headers=honest).status_code == 200
    for headers in FROM_ELSEWHERE:
        form = {"password": "the attacker's"}
        if victim.post("/password", data=form, headers=headers).text == "changed":
            return "done"
    return "refused"


# ---- Letters and tokens


def reset_twice(target: Target) -> Outcome:
    """The attacker has found a letter in which the link was used."""
    if not isinstance(target, Ours):
        return "not there"
    target.browser().post("/forgot", data={"email": OWNER})
    [(_, text)] = target.letters
    thief = target.browser()
    assert thief.post(f"/reset/{text}", data={"password": "mine"}).text == "done"
    again = thief.post(f"/reset/{text}", data={"password": "another"})
    return "refused" if again.status_code == 404 else "done again"


def reset_for_another(target: Target) -> Outcome:
    """The attacker has an address that looks like the victim's, and asks for a letter
    with it.
    """
    if not isinstance(target, Ours):
        return "not there"
    stored = "mike.kis@example.org"
    target.register(stored)
    target.at(Moment())
    alike = [
        stored.replace("k", "\u212a"),
        stored.replace("m", "\uff4d"),
        stored.replace("i", "\u0131"),
        stored.replace("s", "\u017f"),
        stored.replace("@", "\uff20"),
        stored.replace("e", "e\u200b"),
        stored.upper(),
        f"{stored},eve@example.com",
        f"{stored}\neve@example.com",
        f"{stored}\x00",
    ]
    for at, typed in enumerate(alike):
        base = {"REMOTE_ADDR": f"192.0.2.{at}"}
        target.browser().post("/forgot", data={"email": typed}, environ_base=base)
    receivers = {to for to, _ in target.letters}
    return "goes to the victim" if receivers == {stored} else f"goes to {receivers}"


def copied_database(target: Target) -> Outcome:
    """The attacker has a copy of the database: what is there to sign in with?"""
    if not isinstance(target, Ours):
        return "not there"
    victim = target.signed_in(remember="yes")
    token = victim.post("/token").text
    target.browser().post("/forgot", data={"email": OWNER})
    secrets = [
        token[-43:],
        target.cookie(victim).rpartition(".")[2],
        target.cookie(victim, "remember_token").partition("|")[0].rpartition(".")[2],
        target.letters[0][1],
        PASSWORD,
    ]
    found = target.all_that_is_kept()
    assert token[4:26] in found
    return "something" if any(each in found for each in secrets) else "hashes"


def token_elsewhere(target: Target) -> Outcome:
    """A token to read with is used on other views."""
    if not isinstance(target, Ours):
        return "not there"
    token = target.signed_in().post("/token").text
    headers = {"Authorization": f"Bearer {token}"}
    client = target.browser()
    assert client.get("/api", headers=headers).text == OWNER
    asked = [("POST", "/api"), ("POST", "/password"), ("POST", "/token"), ("GET", "/")]
    answers = {
        client.open(path, method=method, headers=headers).status_code
        for method, path in asked
    }
    return "refused" if answers == {403} else "taken"


def token_beside_cookie(target: Target) -> Outcome:
    """A program of the attacker's runs in the browser of the victim; and one with a
    token that is over, in that of its owner.
    """
    if not isinstance(target, Ours):
        return "not there"
    target.register(THIEF)
    token = target.signed_in(THIEF).post("/token").text
    victim = target.signed_in()
    said = victim.get("/api", headers={"Authorization": f"Bearer {token}"})
    made_up = {
        "Authorization": f"Bearer {token[:-1]}{'A' if token[-1] != 'A' else 'B'}"
    }
    bad = victim.get("/api", headers=made_up)
    only_token = said.text == THIEF and bad.status_code == 401
    return "the token counts" if only_token else "the cookie counts"


# ---- Caches


def public_page(target: Target) -> Outcome:
    """May a cache keep a page that is the same for all?"""
    victim = target.signed_in(remember="yes")
    assert "Cookie" in victim.get("/").vary
    kept_out = victim.get("/about").vary
    return "not: Vary: Cookie" if "Cookie" in kept_out else "yes"


def called(who: str) -> str:
    return "signed in" if who == OWNER else who


ATTACKS: dict[str, c.Callable[[Target], Outcome]] = {
    "A streamed page, closed on another thread": left_behind,
    "Two requests in a context pushed by hand": context_by_hand,
    "What somebody leaves in the session": left_in_session,
    "Another signs in, and restarts the browser": next_one_restarts,
    "A copied remember-me cookie, after logout": copied_then_logout,
    "... and used before that": used_then_logout,
    "... after a new password, chosen elsewhere": copied_then_password_elsewhere,
    "... after a new password, chosen there": copied_then_password_there,
    "... after its owner used it": copied_then_used,
    "... within ten seconds of that": copied_then_used_at_once,
    "... for one page, before its owner": copied_then_used_once,
    "... after its owner did, on SQLite, late": copied_then_used_late,
    "... after 366 days": copied_long_ago,
    "An honest one, after the key was rotated": key_rotated,
    "A copied session, before and after logout": copied_session,
    "A login of three hours ago, as a fresh one": fresh_for_ever,
    "50 guesses in a row": one_after_another,
    "50 guesses, X-Forwarded-For forged": forged_addresses,
    "48 guesses, the address spelled anew": other_spellings,
    "50 guesses, on SQLite, after a query": after_a_query,
    "30 guesses at once": all_at_once,
    "A stranger's guesses keep the owner out": lock_out,
    "Who has an account, by the work": who_has_an_account,
    "`next` to another site": open_redirect,
    "A link that signs out": link_out,
    "A form elsewhere signs in as the attacker": form_in,
    "A form elsewhere sends as the victim": form_as_victim,
    "A reset link, used again": reset_twice,
    "A reset for an address that looks alike": reset_for_another,
    "Secrets in a copy of the database": copied_database,
    "A token to read, elsewhere": token_elsewhere,
    "A token beside somebody's cookie": token_beside_cookie,
    "A public page, kept by a cache": public_page,
}
