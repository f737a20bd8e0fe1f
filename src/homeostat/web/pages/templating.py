"""The Jinja environment of the pages: filters, words and the addresses of static files."""

from __future__ import annotations

import hashlib
from pathlib import Path
from urllib.parse import quote

import jinja2

from homeostat.logbook.rows import REMEDY_ENDED
from homeostat.operate.verify import change_in_words
from homeostat.web import moves, words

ROOM = Path(__file__).parent.parent
STATIC = ROOM / "static"
STATIC_FILES = (
    "app.css",
    "pages.css",
    "live.js",
    "chart.js",
    "panels.js",
    "icon.svg",
    "vendor/htmx.min.js",
    "vendor/uPlot.iife.min.js",
    "vendor/uPlot.min.css",
)


def path_of(key: str) -> str:
    """Return the page of a database."""
    return f"/db/{quote(key, safe='')}"


def part_of(text: str) -> str:
    """Return a text as one part of an address."""
    return quote(text, safe="")


def templates() -> jinja2.Environment:
    """Return the environment; a name that is not given to a template is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(ROOM / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= {
        "number": words.number,
        "ms": words.milliseconds,
        "percent": words.percent,
        "quantity": words.quantity,
        "change": change_in_words,
        "iso": words.iso,
        "clock": words.clock_utc,
        "duration": words.duration,
        "sentence": words.sentence,
        "action": words.action,
        "arrows": words.arrows,
        "autonomy": words.autonomy,
        "statement": words.statement,
        "facts": words.facts,
        "moves": moves.moves,
        "strip": moves.strip,
        "db_path": path_of,
        "part": part_of,
    }
    environment.globals |= {
        "AUTONOMY": words.AUTONOMY,
        "STATES": words.STATES,
        "TONES": words.TONES,
        "DATABASE_STATES": words.DATABASE_STATES,
        "ENDED": REMEDY_ENDED,
        "static": {name: _static_url(name) for name in STATIC_FILES},
    }
    return environment


def _static_url(name: str) -> str:
    """Return the address of a static file; it changes with the content, so it may be kept."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return f"/static/{name}?v={digest}"
