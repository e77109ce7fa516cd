from __future__ import annotations

import collections.abc as c
import contextlib

import pytest

from .apps import OpenShop
from .apps import Shop
from .replica_set import ReplicaSet
from .replica_set import replica_set as _replica_set
from .replica_set import standalone


@pytest.fixture(scope="session")
def standalone_uri(tmp_path_factory: pytest.TempPathFactory) -> c.Iterator[str]:
    """A real MongoDB that is no replica set, for all tests that want one."""
    with standalone(tmp_path_factory.mktemp("standalone")) as server:
        yield f"mongodb://{server.host}/"


@pytest.fixture(scope="session")
def replica_set(tmp_path_factory: pytest.TempPathFactory) -> c.Iterator[ReplicaSet]:
    """A replica set of three. Whoever breaks it waits until it is whole again."""
    with _replica_set(tmp_path_factory.mktemp("three"), 3) as three:
        yield three


@pytest.fixture
def open_shop() -> c.Iterator[OpenShop]:
    """Make apps that are closed when the test ends, however it ends."""
    with contextlib.ExitStack() as stack:
        yield lambda *args, **config: stack.enter_context(Shop(*args, **config))
