"""Basics of PostgreSQL's security: who may do everything, who gets in, and what everybody may.

It judges what the catalogue says and tries nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from homeostat.check.check import Check
from homeostat.check.look import Look
from homeostat.check.postgres_catalogue import Row
from homeostat.check.postgres_settings import RELOAD, settings
from homeostat.check.report import Cost, Finding
from homeostat.errors import RightMissingError
from homeostat.measure import Severity

LOOPBACK = ("127.0.0.1", "::1", "samehost", "localhost")
WRITING = {"INSERT", "UPDATE", "DELETE", "TRUNCATE", "TRIGGER", "REFERENCES"}
HBA_GRANT = (
    "GRANT SELECT ON pg_hba_file_rules TO {role}; "
    "GRANT EXECUTE ON FUNCTION pg_hba_file_rules() TO {role};"
)


def _superusers(look: Look) -> Iterator[Finding]:
    for row in look.rows("superusers"):
        yield Finding(
            severity=Severity.WARNING,
            what=f"role {row['name']} is a superuser and can log in",
            where=row["name"],
            cause="it was created or altered so; whoever has its password has the whole server",
            evidence={"sessions": row["sessions"]},
            mend_sql=f"ALTER ROLE {row['name']} NOSUPERUSER;",
            risk="What it does with those rights fails: grant it what it needs, table by table.",
            cost=Cost(kind="risk", amount=0.8 if row["sessions"] else 0.6),
        )


def _hba(look: Look) -> Iterator[Finding]:
    try:
        rows = look.rows("hba")
    except RightMissingError:
        look.miss(
            "pg_hba.conf: who gets in without a password",
            reason="this role may not read pg_hba_file_rules",
            mend=HBA_GRANT.format(role=look.role),
        )
        return
    for row in rows:
        if row["error"]:
            yield _line(row, Severity.HIGH, f"cannot be read: {row['error']}", 0.7)
        elif row["method"] == "trust" and row["type"] != "local":
            near = row["address"].startswith(LOOPBACK)
            told = "lets in whoever runs on the machine" if near else "lets in whoever can reach it"
            severity = Severity.WARNING if near else Severity.CRITICAL
            yield _line(row, severity, f"{told}, without a password", 0.5 if near else 1.0)
        elif row["method"] == "password" and row["type"] != "local":
            yield _line(row, Severity.HIGH, "has passwords sent as they are", 0.7)


def _line(row: Row, severity: Severity, told: str, amount: float) -> Finding:
    address = _range(row["address"], row["netmask"])
    words = (row["type"], row["databases"], row["roles"], address, row["method"])
    text = " ".join(word for word in words if word)
    return Finding(
        severity=severity,
        what=f"line {row['line']} of pg_hba.conf {told}",
        where=f"pg_hba.conf:{row['line']}",
        cause=f"it says `{text}`",
        evidence={"line": row["line"], "method": row["method"], "address": address},
        mend_sql=(
            f"-- In line {row['line']} of pg_hba.conf write scram-sha-256 in place of "
            f"{row['method'] or 'what is wrong'}, then:\n{RELOAD}"
        ),
        risk="Who has no password yet is locked out: set them first (\\password in psql).",
        cost=Cost(kind="risk", amount=amount),
    )


def _range(address: str, netmask: str) -> str:
    """Return an address with the length of its mask, as pg_hba.conf has it: `10.0.0.0/8`."""
    try:
        bits = int(ip_address(netmask)).bit_count()
    except ValueError:  # a name, or none
        return address
    return f"{address}/{bits}"


def _public_grants(look: Look) -> Iterator[Finding]:
    for row in look.rows("public_grants"):
        rights = set(row["rights"].split(", "))
        if row["kind"] == "schema":
            yield Finding(
                severity=Severity.WARNING,
                what=f"everybody may create objects in schema {row['name']}",
                where=row["name"],
                cause="the default before PostgreSQL 15, kept by pg_upgrade and pg_dump",
                evidence={"rights": row["rights"]},
                mend_sql=f"REVOKE CREATE ON SCHEMA {row['name']} FROM PUBLIC;",
                risk=(
                    "Roles that create tables there fail: GRANT CREATE to those that should (the "
                    "role of migrations)."
                ),
                cost=Cost(kind="risk", amount=0.5),
            )
            continue
        writing = bool(rights & WRITING)
        yield Finding(
            severity=Severity.HIGH if writing else Severity.WARNING,
            what=f"every role may {row['rights']} {row['name']}",
            where=row["name"],
            cause="it was granted to PUBLIC",
            evidence={"rights": row["rights"]},
            mend_sql=f"REVOKE ALL ON {row['name']} FROM PUBLIC;",
            risk="Roles that had it this way alone fail: GRANT it to those that should.",
            cost=Cost(kind="risk", amount=0.7 if writing else 0.4),
        )


def _definers(look: Look) -> Iterator[Finding]:
    for row in look.rows("definers"):
        dangerous = row["by_superuser"] and row["for_everybody"]
        yield Finding(
            severity=Severity.HIGH if dangerous else Severity.WARNING,
            what=f"{row['name']} runs as {row['owner']} with its caller's search_path",
            where=row["name"],
            cause="SECURITY DEFINER without SET search_path: a caller's table can stand in front",
            evidence={
                "owner": row["owner"],
                "owner_is_superuser": str(bool(row["by_superuser"])).lower(),
                "everybody_may_call": str(bool(row["for_everybody"])).lower(),
            },
            mend_sql=(
                f"ALTER {row['kind']} {row['name']}"
                f" SET search_path = pg_catalog, {row['schema_name']}, pg_temp;"
            ),
            risk="If it uses objects of other schemas by their bare name, add those schemas.",
            cost=Cost(kind="risk", amount=0.9 if dangerous else 0.5),
        )


def _encryption(look: Look) -> Iterator[Finding]:
    found = settings(look)
    if "listen_addresses" not in found or "ssl" not in found:
        look.miss(
            "whether connections are encrypted",
            reason="this role may not see the settings",
            mend=f"GRANT pg_read_all_settings TO {look.role};",
        )
        return
    heard = [one.strip() for one in found["listen_addresses"].split(",") if one.strip()]
    open_to = [one for one in heard if not one.startswith(LOOPBACK)]
    if found["ssl"] == "off" and open_to:
        yield Finding(
            severity=Severity.HIGH,
            what="connections over the network are not encrypted",
            where="ssl",
            cause=f"ssl is off and the server listens on {', '.join(open_to)}",
            evidence={"ssl": "off", "listen_addresses": found["listen_addresses"]},
            mend_sql=(
                "-- Put server.crt and server.key (0600) into the data directory, then:\n"
                f"ALTER SYSTEM SET ssl = on;\n{RELOAD}\n"
                "-- and write hostssl in place of host in pg_hba.conf when all clients can."
            ),
            risk="Without the two files the reload leaves ssl off and says so in the log.",
            cost=Cost(kind="risk", amount=0.7),
        )
    if found.get("password_encryption") == "md5":
        yield Finding(
            severity=Severity.WARNING,
            what="new passwords are kept as md5, which can be used without being broken",
            where="password_encryption",
            cause="the default before PostgreSQL 14, kept in postgresql.conf",
            evidence={"password_encryption": "md5"},
            mend_sql=(
                f"ALTER SYSTEM SET password_encryption = 'scram-sha-256';\n{RELOAD}\n"
                "-- Then set every password again."
            ),
            risk="Drivers older than 2018 cannot log in with such a password.",
            cost=Cost(kind="risk", amount=0.4),
        )


CHECKS = (
    Check(
        rule="superuser_login",
        dialect="postgresql",
        sees="superusers",
        help=(
            "A role other than the one that made the cluster may do everything and can log in. "
            "Applications never need that: take it away and grant what they need."
        ),
        judge=_superusers,
    ),
    Check(
        rule="client_authentication",
        dialect="postgresql",
        sees="pg_hba.conf",
        help=(
            "A line of pg_hba.conf lets clients in without a password (trust), has it sent as it "
            "is (password), or cannot be read. Write scram-sha-256."
        ),
        judge=_hba,
        mend=HBA_GRANT,
    ),
    Check(
        rule="public_grant",
        dialect="postgresql",
        sees="what was granted to everybody",
        help=(
            "Every role, also those to come, may read or change a table or create objects in a "
            "schema. Revoke it from PUBLIC and grant it to those that should."
        ),
        judge=_public_grants,
    ),
    Check(
        rule="security_definer",
        dialect="postgresql",
        sees="functions with their owner's rights",
        help=(
            "A SECURITY DEFINER function has no search_path of its own: whoever calls it can have "
            "it use objects of theirs with the owner's rights. Set one."
        ),
        judge=_definers,
    ),
    Check(
        rule="encryption",
        dialect="postgresql",
        sees="the encryption of connections and passwords",
        help=(
            "The server listens on the network without TLS, or keeps new passwords as md5. Turn on "
            "ssl; use scram-sha-256."
        ),
        judge=_encryption,
    ),
)
