import pytest
from .site import KINDS
@pytest.mark.parametrize("home", KINDS, indirect=True)
def test_smoke(site):
    b = site.browser()
    assert b.who == "nobody"
    assert site.loaded == []
    assert b.sign_in("ann@example.org", "wrong").status_code == 401
    r = b.sign_in("ANN@example.org", remember="1"); assert r.status_code == 200, r.text
    assert b.who == "ann@example.org"
    assert site.loaded
    old = b.remembered
    b.restart()
    assert b.who == "ann@example.org"
    assert b.remembered != old
    with site.app.app_context():
        d = site.login.devices(site.login.users.find("ann@example.org").id)
    assert len(d) == 2, d
    assert b.get("/sign-out").status_code == 405
    assert b.post("/sign-out").status_code == 200
    assert b.who == "nobody"
    assert b.remembered is None
    assert b.get("/private").status_code == 302
