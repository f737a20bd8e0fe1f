"""Parameters of captured calls: from JSON to what a driver takes."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from homeostat.access.protocol import CallSample
from homeostat.driver.placeholders import compile_named
from homeostat.driver.wire import Params


def parameters_of(sample: CallSample) -> Params | None:
    """Return a call's parameters, or None when the application keeps one of them private."""
    if sample.private:
        return None
    return {name: _value(value) for name, value in sample.parameters.items()}


def used_by(sql: str, params: Params) -> Params:
    """Return those of the parameters that a statement names."""
    names = set(compile_named(sql).names)
    return {name: value for name, value in params.items() if name in names}


def _value(value: object) -> object:
    if isinstance(value, Mapping) and set(value) == {"bytes"}:
        return base64.b64decode(str(value["bytes"]))
    return value
