"""Money is moved as a whole, once, and only if it is there."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from ledger import Account
from ledger import Transfer
from ledger import create_app
from ledger import scopes
from ledger import sql


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    app = create_app({"SQLALCHEMY_URL": f"sqlite:///{tmp_path}/ledger.db"})
    app.test_cli_runner().invoke(args=["create"], catch_exceptions=False)
    yield app
    scopes.close(app)


def send(app: Flask, amount: str = "10", **fields: str) -> TestResponse:
    form = {"reference": "one", "source": "1", "target": "2", "amount": amount}
    return app.test_client().post("/transfers", data={**form, **fields})


def balances(app: Flask) -> list[int]:
    with app.app_context():
        statement = select(Account.balance).order_by(Account.id)
        return list(sql.session().scalars(statement))


def test_a_transfer(app: Flask) -> None:
    assert send(app, "12.5").status_code == 303
    assert balances(app) == [87_50, 112_50, 100_00, 100_00]
    page = app.test_client().get("/").text
    assert "87.50" in page
    assert "400.00" in page


def test_what_is_sent_twice_is_paid_once(app: Flask) -> None:
    assert send(app).status_code == send(app).status_code == 303
    assert balances(app) == [90_00, 110_00, 100_00, 100_00]


def test_all_of_it_and_no_more(app: Flask) -> None:
    assert send(app, "100.01").status_code == 409
    assert send(app, "100.00").status_code == 303
    assert balances(app) == [0, 200_00, 100_00, 100_00]


@pytest.mark.parametrize(
    "amount", ["", "0", "0.00", "-1", "1.234", "1,5", "1e3", "x", "٣", "9" * 5000]
)
def test_what_is_no_amount(app: Flask, amount: str) -> None:
    assert send(app, amount).status_code == 422
    assert balances(app) == [100_00] * 4


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"source": "2"}, 422),
        ({"source": "99"}, 404),
        ({"target": "x"}, 404),
        ({"target": ""}, 404),
    ],
)
def test_accounts_that_will_not_do(
    app: Flask, fields: dict[str, str], status: int
) -> None:
    assert send(app, **fields).status_code == status
    assert balances(app) == [100_00] * 4


def test_a_form_without_its_fields(app: Flask) -> None:
    assert app.test_client().post("/transfers", data={}).status_code == 400


def test_looking_writes_nothing_and_waits_for_nobody(app: Flask) -> None:
    with app.app_context():
        sql.session().add(Account(owner="Emmy", balance=0))
        sql.session().flush()
        assert "Emmy" not in app.test_client().get("/").text
    assert "Emmy" in app.test_client().get("/").text


def test_the_accounts_are_made_once(app: Flask) -> None:
    app.test_cli_runner().invoke(args=["create"], catch_exceptions=False)
    assert len(balances(app)) == 4
    with app.app_context():
        assert sql.session().scalars(select(Transfer)).all() == []
