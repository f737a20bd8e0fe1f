"""What calls carried stays secret: no value of theirs lies readable on the disk."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from homeostat.engine.normalise import statement_key
from tests.servers import wait_until
from tests.tune.application import Work, open_wire
from tests.tune.shop import CONFIG, fill, shop

SECRET = "hidden-person-8231@example.org"
LITERAL = "region-nobody-may-know-5512"
LOOKUP = Work(
    "person",
    "SELECT id FROM customers c JOIN orders o USING (id) "
    f"WHERE c.email <> :email AND c.region <> '{LITERAL}' AND o.total = 3",
    lambda _chance: {"email": SECRET},
)


@pytest.mark.slow
def test_no_value_of_a_call_lies_readable_on_the_disk(sqlite_path: Path, tmp_path: Path) -> None:
    wire = open_wire(str(sqlite_path))
    fill(wire)
    wire.close()
    data = tmp_path / "data"
    operate = msgspec.structs.replace(CONFIG.operate, autonomy="observe")
    config = msgspec.structs.replace(CONFIG, operate=operate)
    with shop(data, str(sqlite_path), [LOOKUP], config) as running:
        finding = running.finding()
        assert SECRET not in str(finding)
        assert LITERAL not in str(finding)
        assert SECRET not in str(running.console.explain("person"))

        def captured() -> list[object]:
            mine = [one for key, one in running.one.watch.captured() if key == KEY]
            return [one.parameters["email"] for one in mine]

        wait_until(captured, 10, "a captured call")
        assert set(captured()) == {SECRET}, "the operator itself can replay it"
        readable(data)
    readable(data)


KEY = statement_key(LOOKUP.sql)


def readable(data: Path) -> None:
    """Fail where a file of the operator holds a value as plain text."""
    files = [path for path in data.rglob("*") if path.is_file()]
    assert len(files) > 2
    for path in files:
        content = path.read_bytes()
        for value in (SECRET, LITERAL):
            assert value.encode() not in content, f"{value} is in {path.name}"
            assert value.encode("utf-16-le") not in content
