"""Where somebody is signed in, and how that ends."""

from __future__ import annotations

import flask
import pytest

from flask_scopes.sessions import Device

from .site import KINDS
from .site import PASSWORD
from .site import OpenSite
from .site import Site

every_kind = pytest.mark.parametrize("home", KINDS, indirect=True)
ANN = "ann@example.org"


def devices(site: Site, email: str = ANN) -> list[Device]:
    with site.app.app_context():
        return site.login.devices(id_of(site, email))


def id_of(site: Site, email: str = ANN) -> str:
    with site.app.app_context():
        account = site.login.users.find(email)
        assert account
        return account.id


@every_kind
def test_sessions_and_remembered_devices_are_one_list(site: Site) -> None:
    with_session, without = site.browser(ANN, remember="1"), site.browser(ANN)
    assert len(devices(site)) == 2

    with site.app.app_context():
        assert site.sessions
        (older,) = [
            each.id
            for each in site.sessions.of(id_of(site))
            if site.sessions.value(each.id, "_remembered")
        ]
        site.sessions.store.remove([older])
    listed = devices(site)

    assert len(listed) == 2
    (remembered,) = [each for each in listed if each.id.startswith("device:")]
    assert remembered.agent.startswith("Werkzeug")
    assert remembered.address == "127.0.0.1"
    assert with_session.who == ANN
    assert len(devices(site)) == 2
    assert without.who == ANN


@every_kind
def test_revoking_a_session_forgets_its_device(site: Site) -> None:
    browser = site.browser(ANN, remember="1")
    (device,) = devices(site)

    with site.app.app_context():
        assert site.sessions
        assert site.sessions.revoke(device.id)

    assert browser.who == "nobody"
    assert devices(site) == []


@every_kind
def test_a_device_without_a_session_can_be_forgotten(site: Site) -> None:
    browser = site.browser(ANN, remember="1")
    with site.app.app_context():
        assert site.sessions
        site.sessions.store.remove([devices(site)[0].id])
    (device,) = devices(site)

    with site.app.app_context():
        assert site.login.sign_out_device(id_of(site), device.id)
        assert not site.login.sign_out_device(id_of(site), device.id)

    assert browser.who == "nobody"


def test_nobody_ends_what_is_somebody_elses(site: Site) -> None:
    site.register("ben@example.org")
    ann = site.browser(ANN, remember="1")
    site.browser("ben@example.org")
    (device,) = devices(site)

    with site.app.app_context():
        ben = id_of(site, "ben@example.org")
        assert not site.login.sign_out_device(ben, device.id)
        assert not site.login.sign_out_device(ben, "device:x")

    assert ann.who == ANN


def add_everywhere(site: Site, but_here: bool) -> None:
    def everywhere() -> str:
        user = site.current_user()
        assert user
        site.login.sign_out_everywhere(user.id, but_here=but_here)
        return "done"

    site.view("/everywhere", everywhere, methods=["POST"])


@every_kind
@pytest.mark.parametrize("but_here", [True, False])
def test_signing_out_everywhere(open_site: OpenSite, but_here: bool) -> None:
    site = open_site()
    site.register()
    add_everywhere(site, but_here)
    here, elsewhere = (site.browser(ANN, remember="1") for _ in range(2))
    here.post("/everywhere")

    for browser, stays in ((here, but_here), (elsewhere, False)):
        assert browser.who == (ANN if stays else "nobody")
        browser.restart()
        assert browser.who == (ANN if stays else "nobody")


@pytest.mark.parametrize("but_here", [True, False])
def test_without_server_sessions_devices_are_forgotten(
    open_site: OpenSite, but_here: bool
) -> None:
    site = open_site(server=False)
    site.register()
    add_everywhere(site, but_here)
    here, elsewhere = (site.browser(ANN, remember="1") for _ in range(2))
    assert len(devices(site)) == 2
    here.post("/everywhere")
    assert len(devices(site)) == but_here

    for browser, stays in ((here, but_here), (elsewhere, False)):
        # Flask's own cookie is good by itself.
        assert browser.who == ANN
        browser.restart()
        assert browser.who == (ANN if stays else "nobody")


def test_outside_of_a_request_everywhere_is_everywhere(site: Site) -> None:
    browser = site.browser(ANN, remember="1")

    with site.app.app_context():
        site.login.sign_out_everywhere(id_of(site), but_here=True)

    assert browser.who == "nobody"


def test_a_token_is_nobodys_session_here(site: Site) -> None:
    browser = site.browser(ANN)
    cookie = browser.client.get_cookie("session")
    assert cookie
    with site.app.app_context():
        token = site.login.tokens.create(id_of(site), "a script")
        user = id_of(site)
    headers = {"Cookie": f"session={cookie.value}", "Authorization": f"Bearer {token}"}

    with site.app.test_request_context(headers=headers):
        site.login.sign_out_everywhere(user, but_here=True)

    assert browser.who == "nobody"


@every_kind
def test_another_password_signs_out_everywhere_but_here(site: Site) -> None:
    def change() -> str:
        account = site.login.check(ANN, flask.request.form["old"])
        assert account
        assert site.login.set_password(account, flask.request.form["new"])
        # By somebody who has read it before.
        assert not site.login.set_password(account, "too late")
        return "changed"

    with site.app.app_context():
        site.login.tokens.create(id_of(site), "a script")
    site.view("/change", change, methods=["POST"])
    here, elsewhere = (site.browser(ANN, remember="1") for _ in range(2))
    here.post("/change", data={"old": PASSWORD, "new": "battery staple"})

    assert here.who == ANN
    assert elsewhere.who == "nobody"
    assert elsewhere.sign_in(ANN).status_code == 401
    assert elsewhere.sign_in(ANN, "too late").status_code == 401
    assert elsewhere.sign_in(ANN, "battery staple").status_code == 200
    with site.app.app_context():
        assert len(site.login.tokens.of(id_of(site))) == 1
