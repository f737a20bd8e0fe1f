"""TAB in a shell: commands, options, and the names that the operator knows."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from homeostat.cli.shapes import CompletionScript
from tests.cli.stage import EXECUTABLE, Described, Run_, database, environment, remedy, status


def offered(homeostat: Run_, *words: str) -> list[str]:
    """Return what is offered for the last word, asked as the script of bash asks."""
    line = " ".join(("homeostat", *words))
    asked = {
        "_HOMEOSTAT_COMPLETE": "bash_complete",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words)),
    }
    said = homeostat(env=asked)
    assert said.err == ""
    return [one.partition(",")[2] for one in said.out.split()]


def test_commands_and_options(homeostat: Run_) -> None:
    assert {"check", "completion"} <= set(offered(homeostat, "c"))
    assert offered(homeostat, "remedy", "app") == ["approve"]
    assert "--json" in offered(homeostat, "status", "--")
    assert offered(homeostat, "completion", "z") == ["zsh"]


def test_names_that_the_operator_knows(homeostat: Run_, operator: Described) -> None:
    operator.status = status(database("one"), database("two"))
    operator.remedies = [remedy(3), remedy(31, state="waiting")]
    assert offered(homeostat, "pause", "/srv/o") == ["/srv/one/users.db"]
    assert offered(homeostat, "remedy", "show", "3") == ["3", "31"]
    assert offered(homeostat, "remedy", "approve", "3") == ["31"]


def test_nothing_is_said_when_nobody_answers(homeostat: Run_) -> None:
    assert offered(homeostat, "remedy", "show", "") == []
    assert offered(homeostat, "clone", "drop", "") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell(homeostat: Run_, shell: str) -> None:
    plain = homeostat("completion", shell)
    assert plain.code == 0
    assert "_HOMEOSTAT_COMPLETE" in plain.out
    stated = CompletionScript(**homeostat("completion", shell, "--json").json())
    assert stated.script.strip() == plain.out.strip()


def test_bash_completes_with_it(data: Path) -> None:
    bash = shutil.which("bash")
    assert bash is not None
    script = (
        'eval "$(homeostat completion bash)"; COMP_WORDS=(homeostat remedy re); COMP_CWORD=2; '
        '_homeostat_completion homeostat; echo "${COMPREPLY[@]}"'
    )
    path = {"PATH": f"{EXECUTABLE.parent}:/usr/bin:/bin"}
    done = subprocess.run(
        [bash, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env=environment(data, path),
    )
    assert done.stdout.split() == ["reject", "revert"]
