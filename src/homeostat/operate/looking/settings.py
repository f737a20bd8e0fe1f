"""The settings in force: what the database says of its own, and what Homeostat was configured to.

Asks the database one cheap question. References to secrets are shown, secrets are not: settings
hold none.
"""

from __future__ import annotations

from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from homeostat.config import Config, DatabaseConfig
from homeostat.config.section import Section
from homeostat.engine import Unsupported
from homeostat.engine.engine import SettingInForce
from homeostat.errors import DatabaseError
from homeostat.operate.attached import Attached
from homeostat.operate.insights import SettingRow, SettingsInForce
from homeostat.operate.operator import Operator

FILE = "homeostat.toml or the command line"
OPERATOR = "set here, until the operator restarts"


def settings_of(operator: Operator, one: Attached) -> SettingsInForce:
    """Return all settings; a database that does not answer says so in `reason`."""
    inspect = one.engine.inspect
    rows: list[SettingRow] = []
    reason = ""
    if isinstance(inspect, Unsupported):
        reason = f"{inspect.reason} {inspect.mend}"
    else:
        try:
            rows = [_of_database(setting) for setting in inspect.settings_in_force()]
        except DatabaseError as error:
            reason = str(error)
    own = list(_of_homeostat(operator.config)) + _of_remedies(one)
    return SettingsInForce(database=one.row.key, of_database=rows, of_homeostat=own, reason=reason)


def _of_database(setting: SettingInForce) -> SettingRow:
    return SettingRow(
        name=setting.name,
        value=None if setting.value is None else f"{setting.value} {setting.unit}".strip(),
        default=f"{setting.default} {setting.unit}".strip() if setting.default else "",
        source=setting.source,
        description=setting.description,
        category=setting.category,
        restart=setting.restart,
    )


def _of_homeostat(config: Config) -> list[SettingRow]:
    rows = []
    for section in msgspec.structs.fields(Config):
        part = getattr(config, section.name)
        if isinstance(part, Section) and not isinstance(part, DatabaseConfig):
            rows += _of_section(section.name, part)
    return rows


def _of_section(name: str, section: Section) -> list[SettingRow]:
    hints = get_type_hints(type(section), include_extras=True)
    rows = []
    for field in msgspec.structs.fields(type(section)):
        value = getattr(section, field.name)
        default = field.default if field.default_factory is msgspec.NODEFAULT else None
        default = field.default_factory() if default is None else default
        rows.append(
            SettingRow(
                name=f"{name}.{field.name}",
                value=_text(value),
                default=_text(default),
                source="default" if value == default else FILE,
                description=_description(hints[field.name]),
                category=f"[{name}]",
            )
        )
    return rows


def _of_remedies(one: Attached) -> list[SettingRow]:
    return [
        SettingRow(
            name=f"operate.remedies.{remedy.key}",
            value=one.desk.autonomy_of(remedy.key),
            default="observe",
            source=OPERATOR if remedy.key in one.desk.autonomy else _source(one, remedy.key),
            description=remedy.help,
            category="[operate.remedies]",
        )
        for remedy in one.desk.remedies
    ]


def _source(one: Attached, key: str) -> str:
    return "default" if one.desk.autonomy_of(key) == "observe" else FILE


def _description(hint: Any) -> str:
    """Return the description that a setting's annotation carries."""
    if get_origin(hint) is not Annotated:
        return ""
    for meta in get_args(hint)[1:]:
        if isinstance(meta, Meta) and meta.description:
            return meta.description
    return ""


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, dict):
        return ", ".join(f"{key} = {one}" for key, one in value.items())
    return str(value)
