"""What stands in homeostat.toml is understood, or refused with the place that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from homeostat.config import Config, data_directory, load
from homeostat.errors import ConfigError


def written(directory: Path, text: str) -> Path:
    path = directory / "homeostat.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_what_is_not_named_keeps_its_default(tmp_path: Path) -> None:
    text = '[monitor]\npromise_ms = 20\n[operate.remedies]\ngrow-pool = "auto"\n'
    config = load(written(tmp_path, text))
    assert config.monitor.promise_ms == 20.0
    assert config.operate.remedies == {"grow-pool": "auto"}
    assert config.monitor.health_seconds == Config().monitor.health_seconds
    assert Config().operate.remedies == {}


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[monitor]\npromised_ms = 20\n", "promised_ms"),
        ("[monitoring]\n", "monitoring"),
        ('[operate]\nautonomy = "always"\n', "$.operate.autonomy"),
        ("[operate]\nlease_seconds = 0\n", "$.operate.lease_seconds"),
        ("[pool]\nuse_share_high = 1.5\n", "$.pool.use_share_high"),
        ('[databases.shop]\ngroup = "eu"\n', "url"),
        ("[monitor\n", "line 1"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(tmp_path: Path, text: str, place: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert place in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_file_that_is_missing_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "nowhere.toml")
    binary = tmp_path / "homeostat.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not TOML"):
        load(binary)


def test_the_data_directory_is_the_given_one_then_the_environment_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOMEOSTAT_DATA", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert data_directory(name="shop") == tmp_path / "homeostat" / "shop"
    monkeypatch.setenv("HOMEOSTAT_DATA", str(tmp_path / "mine"))
    assert data_directory(name="shop") == tmp_path / "mine"
    assert data_directory(str(tmp_path / "given")) == tmp_path / "given"
