"""A report as one HTML file that can be sent on: nothing is loaded from anywhere.

It reads on a phone, in the dark and on paper. Every text from the database is escaped.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections import Counter
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import jinja2

from homeostat.check.report import Report
from homeostat.check.words import cost_words, evidence_words
from homeostat.errors import ConfigError
from homeostat.measure import Severity


def render(report: Report) -> str:
    """Return the report as a whole HTML document."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("homeostat.check"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    counts = Counter(str(one.severity) for one in report.findings)
    return environment.get_template("report.html").render(
        report=report,
        counts=[(str(one), counts[str(one)]) for one in reversed(Severity) if counts[str(one)]],
        at=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(report.database.at)),
        evidence=evidence_words,
        cost=cost_words,
        version=version("homeostat"),
    )


def write_page(report: Report, path: Path) -> None:
    """Write the page as a whole, or not at all; only its owner may read it.

    Raises:
        ConfigError: the file cannot be written.
    """
    try:
        number, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(number, "w", encoding="utf-8") as file:
                file.write(render(report))
            Path(draft).replace(path)
        except BaseException:
            with suppress(OSError):
                Path(draft).unlink()
            raise
    except OSError as error:
        message = "The report cannot be written. Give a place that you may write to."
        raise ConfigError(message, where=str(path), detail=error.strerror or "") from None
