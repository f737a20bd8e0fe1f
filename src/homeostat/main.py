"""Wire the rooms into an operator with its page and API, and run it until it is told to stop."""

from __future__ import annotations

import json
import logging
import os
import secrets
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from logging.handlers import RotatingFileHandler
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from homeostat.clock import Clock, SystemClock
from homeostat.config import Config, DatabaseConfig, WebConfig, data_directory, load
from homeostat.errors import ConfigError, SecretError
from homeostat.maintain.healing import AutomatedOperations
from homeostat.monitor import ProductionMonitoring
from homeostat.operate.console import OperatorConsole
from homeostat.operate.fleet import attach_all
from homeostat.operate.operator import Operator
from homeostat.operate.room import Room
from homeostat.secret import split_password
from homeostat.tune import PerformanceOperations
from homeostat.web import Server, create_app, listen
from homeostat.web.troubles import Troubles

log = logging.getLogger(__name__)

CONFIG_FILE = "homeostat.toml"
OPERATOR_FILE = "operator.json"
TOKEN_FILE = "token"  # noqa: S105  # a file's name
LOG_FILE = "operator.log"
LOG_BYTES_MAX = 10_000_000  # and as much of what came before, in operator.log.1
WAIT_SECONDS = 0.5


def rooms(config: Config) -> list[Room]:
    """Return all rooms, as the operator runs them."""
    entries = (ProductionMonitoring, AutomatedOperations, PerformanceOperations)
    return [entry(config).room() for entry in entries]


@dataclass(frozen=True, slots=True)
class Running:
    """An operator that runs, and how to reach it."""

    operator: Operator
    console: OperatorConsole
    server: Server
    new_link: Callable[[], str]


def read_config(data: Path, path: str | None, autonomy: str | None) -> Config:
    """Return the configuration: the file given, else homeostat.toml of the data directory.

    Raises:
        ConfigError: the file is wrong, or the autonomy is none of the three.
    """
    usual = data / CONFIG_FILE
    config = Config()
    if path is not None:
        config = load(Path(path).expanduser())
    elif usual.exists():
        config = load(usual)
    if autonomy is None:
        return config
    operate = msgspec.structs.replace(config.operate, autonomy=autonomy)
    return msgspec.convert(
        msgspec.to_builtins(msgspec.structs.replace(config, operate=operate)), Config
    )


def prepare_data(data: Path) -> None:
    """Make the data directory, for its owner only.

    Raises:
        ConfigError: it cannot be made or used.
    """
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        if data.stat().st_uid == os.getuid():
            data.chmod(0o700)
    except OSError as error:
        message = "The data directory cannot be used. Give another with --data."
        raise ConfigError(message, where=str(data), detail=error.strerror or "") from None


def read_token(data: Path) -> str:
    """Return the token that programs send; make it at the first start, 0600.

    Raises:
        SecretError: the file cannot be read or written.
    """
    path = data / TOKEN_FILE
    try:
        try:
            number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return path.read_text().strip()
        token = secrets.token_urlsafe(32)
        with os.fdopen(number, "w") as file:
            file.write(token + "\n")
    except OSError as error:
        raise SecretError(where=str(path), detail=error.strerror or "") from None
    return token


def start(
    data: Path,
    *,
    url: str = "",
    databases: Mapping[str, DatabaseConfig] | None = None,
    config: Config,
    clock: Clock,
    stack: ExitStack,
    more: Sequence[Room] = (),
    troubles: Troubles | None = None,
) -> Running:
    """Start an operator; the stack stops it.

    `more` rooms join the usual ones; `troubles` are what the page has buttons to break.
    It attaches `databases`, or the one at `url`. One that cannot be attached now is tried again
    later, as long as another one could.

    Raises:
        LogbookError: the logbook cannot be used, or another operator has the database.
        DatabaseError: no database can be opened.
        ConfigError: no port is free.
    """
    operator = Operator(data, rooms=[*rooms(config), *more], config=config, clock=clock)
    stack.callback(operator.stop)
    attach_all(operator, databases or {url: DatabaseConfig(url=url)})
    console = OperatorConsole(operator)
    listener = listen(config.web.port or last_port(data))
    stack.callback(listener.close)
    app = create_app(
        console,
        token=read_token(data),
        config=config.web,
        port=listener.getsockname()[1],
        clock=clock,
        directory=data,
        troubles=troubles,
    )
    if troubles is not None:
        troubles.attach(console)
    server = Server(app, listener)
    server.start()
    stack.callback(server.stop)
    operator.start()
    write_operator_file(data, server.url, console)
    return Running(operator, console, server, app.state.access.new_link)


def last_port(data: Path) -> int:
    """Return the port of the last start, so that open pages find the operator again; 0: none."""
    try:
        url = json.loads((data / OPERATOR_FILE).read_text())["url"]
        return urlsplit(url).port or 0
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def write_operator_file(data: Path, url: str, console: OperatorConsole) -> None:
    """Tell agents and commands where the operator is; replaced atomically."""
    status = console.status()
    body = {
        "url": url,
        "pid": status.pid,
        "started": console.started,
        "epoch": status.epoch,
    }
    draft = data / f"{OPERATOR_FILE}.{os.getpid()}"
    draft.write_text(json.dumps(body) + "\n")
    draft.replace(data / OPERATOR_FILE)


def run_operator(
    *,
    urls: Sequence[str],
    data: str | Path | None = None,
    port: int | None = None,
    config: str | None = None,
    autonomy: str | None = None,
    say: Callable[[str], None] = print,
    heard: Callable[[bytes], None] | None = None,
    troubles: Troubles | None = None,
    introduce: Callable[[Running, Path, Config], Sequence[str]] | None = None,
) -> int:
    """Observe databases until told to stop; return the exit code.

    Args:
        urls: each a path, `sqlite:///path` or `postgresql://...`; none: those configured.
        data: the data directory.
        port: of the page; None: as configured.
        config: a TOML file.
        autonomy: what remedies may do; None: as configured.
        say: prints a line.
        heard: gets each line of standard input, for whoever started this; when that ends, so does
            this.
        troubles: what the page has buttons to break.
        introduce: returns what is said once it runs; None: `introduction`.
    """
    directory = data_directory(None if data is None else str(data))
    prepare_data(directory)
    log_to(directory / LOG_FILE)
    settings = read_config(directory, config, autonomy)
    if port is not None:
        web = msgspec.structs.replace(settings.web, port=port)
        settings = msgspec.structs.replace(
            settings, web=msgspec.convert(msgspec.to_builtins(web), WebConfig)
        )
    databases = wanted(urls, settings, directory)
    with ExitStack() as stack:
        running = start(
            directory,
            databases=databases,
            config=settings,
            clock=SystemClock(),
            stack=stack,
            troubles=troubles,
        )
        stop = running.operator.stop_event
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda _number, _frame: stop.set())
        if heard is not None:
            threading.Thread(target=_listen, args=(heard, stop), daemon=True).start()
        for line in (introduce or introduction)(running, directory, settings):
            say(line)
        while not stop.wait(WAIT_SECONDS):
            pass
        lost = running.operator.lost
    if lost is not None:
        sys.stderr.write(f"error: {lost}\n")
        return 1
    return 0


def wanted(urls: Sequence[str], config: Config, data: Path) -> dict[str, DatabaseConfig]:
    """Return the databases to attach by name: those given, with what is configured for them.

    Raises:
        ConfigError: none is given and none configured, or a password stands in a URL of the file.
    """
    for name, one in config.databases.items():
        for url, setting, beside in (
            (one.url, "url", "password"),
            (one.pooler, "pooler", "pooler_password"),
        ):
            if split_password(url)[1] is not None:
                message = f'This URL has a password in it. Write `{beside} = "env:NAME"` beside it.'
                raise ConfigError(message, where=f"databases.{name}.{setting}")
    if not urls:
        if not config.databases:
            message = "No database is named. Give a URL, or configure [databases.NAME]."
            raise ConfigError(message, where=str(data / CONFIG_FILE))
        return dict(config.databases)
    known = {one.url: (name, one) for name, one in config.databases.items()}
    return dict(known.get(url) or (url, DatabaseConfig(url=url)) for url in urls)


def introduction(
    running: Running, data: Path, config: Config, *, file: str | Path | None = None
) -> list[str]:
    """Return what is said at the start: what is watched, where, and what it may do.

    `file`: the homeostat.toml that was given; None: that of the data directory.
    """
    lines = []
    databases = running.console.status().databases
    observing = [one for one in databases if one.autonomy == "observe"]
    for one in databases:
        called = f"{one.name}: " if one.name else ""
        lines.append(f"watching {called}{one.label} ({one.dialect} {one.version})")
        if one.autonomy not in {"observe", config.operate.autonomy}:
            lines.append(f"  autonomy: {one.autonomy}")
    if observing:
        which = "it" if len(databases) == 1 else f"{len(observing)} of {len(databases)}"
        verbs = "observes and changes" if which == "it" else "are only observed and changed in"
        lines.append(
            f"{which} {verbs} nothing; to let it act: `--autonomy auto`, or in "
            f'{file or data / CONFIG_FILE}: [operate] autonomy = "auto"'
        )
    lines += [
        f"not attached yet: {one.label}: {one.error}" for one in running.console.status().pending
    ]
    lines.append(f"page (sign-in link, good once): {running.new_link()}")
    lines.append(f"agents and commands find it through {data}")
    return lines


def log_to(path: Path) -> None:
    """Send what modules log to a file that stays small; what people need to know is a finding."""
    handler = RotatingFileHandler(
        path, maxBytes=LOG_BYTES_MAX, backupCount=1, encoding="utf-8", delay=True
    )
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    root.addHandler(handler)


def _listen(heard: Callable[[bytes], None], stop: threading.Event) -> None:
    for line in sys.stdin.buffer:
        heard(line)
    stop.set()
