"""Every route does what the API's own description says, whatever it is sent.

The requests are made up from the description, right ones and wrong ones, and sent to a real
operator that watches a SQLite database.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.config import SchemathesisConfig

from homeostat.access.protocol import REPORT_PATH
from homeostat.clock import SystemClock
from homeostat.config import Config
from homeostat.driver import sqlite
from homeostat.main import prepare_data, rooms
from homeostat.operate.console import OperatorConsole
from homeostat.operate.operator import Operator
from homeostat.web.api import ROUTES
from tests.web.site import TOKEN, Site, running_site

if TYPE_CHECKING:
    from tests.web.fake import FakeConsole

ENDLESS = {"/api/v1/events"}  # its answer ends with the client; test_stream.py reads it
# a start after the end, and a report of another version, are right by their types only
NOT_TOLD_BY_TYPES = {
    REPORT_PATH,
    *(one.path for one in ROUTES if "start" in one.query.__struct_fields__),
}
EXAMPLES = 8
EXAMPLES_REPORT = 3  # it is large, and making one up takes most of the time
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Run an operator that watches an empty database."""
    place = tmp_path_factory.mktemp("schema")
    path, data, config = place / "app.db", place / "data", Config()
    sqlite.connect(path, create=True).close()
    prepare_data(data)
    operator = Operator(data, rooms=rooms(config), config=config, clock=SystemClock())
    try:
        operator.attach(str(path))
        operator.start()
        with running_site(cast("FakeConsole", OperatorConsole(operator)), data) as site:
            yield site
    finally:
        operator.stop()


@pytest.fixture(scope="module")
def described(watched: Site) -> Any:
    config = SchemathesisConfig.from_dict({"checks": {"ignored_auth": {"enabled": False}}})
    answer = watched.request("GET", "/api/openapi.json")
    assert answer.status == 200
    return schemathesis.openapi.from_dict(answer.json(), config=config)


@pytest.mark.parametrize(
    ("path", "method", "mode"),
    [
        (one.path, one.method, mode)
        for one in ROUTES
        for mode in GenerationMode
        if one.path not in ENDLESS
        and (one.role is not None or mode is GenerationMode.POSITIVE)  # the open ones take nothing
    ],
)
def test_a_route_does_what_its_description_says(
    watched: Site, described: Any, path: str, method: str, mode: GenerationMode
) -> None:
    operation = described[path][method]
    left_out = []
    if path in NOT_TOLD_BY_TYPES:
        left_out = [schemathesis.checks.positive_data_acceptance]

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES_REPORT if path == REPORT_PATH else EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    def send(case: Any) -> None:
        case.call_and_validate(
            base_url=watched.server.url, headers=HEADERS, excluded_checks=left_out
        )

    send()
