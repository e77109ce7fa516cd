from __future__ import annotations

import flask
import pytest

from flask_scopes import Scopes

from .shop import Shop


@pytest.fixture
def shop(app: flask.Flask, scopes: Scopes) -> Shop:
    return Shop(app, scopes)
