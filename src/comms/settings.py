"""Every setting, from `COMMS_*` variables of the environment over those of a `.env` file."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import FieldInfo, fields

from comms.domain.complaints import explain

PREFIX = "COMMS_"

_TEST_PREFIX = "COMMS_TEST_"
"""Speaks to the tests, in the same environment."""


class BadSetting(Exception):
    """A variable that is unknown or can't be read; the message names it and never repeats its value."""


class Settings(Struct, frozen=True, kw_only=True):
    """The settings of one process; the field `log_level` is the variable `COMMS_LOG_LEVEL`."""

    database_url: Annotated[
        str | None, Meta(description="PostgreSQL to use, postgresql://...; unset: an embedded one")
    ] = None
    data_dir: Annotated[Path, Meta(description="where the embedded PostgreSQL and the master key live")] = (
        Path("comms-data")
    )
    host: Annotated[str, Meta(description="address to listen on", min_length=1)] = "127.0.0.1"
    port: Annotated[int, Meta(description="port to listen on; 0 picks a free one", ge=0, le=65535)] = 8080
    metrics_port: Annotated[
        Annotated[int, Meta(ge=0, le=65535)] | None,
        Meta(
            description="port on loopback for the metrics of a worker alone; of several processes, the first"
        ),
    ] = None
    master_key: Annotated[str | None, Meta(description="the key that seals all others")] = None
    master_key_file: Annotated[Path | None, Meta(description="a file that holds the master key")] = None
    epoch_keys_dir: Annotated[
        Path | None,
        Meta(
            description="where the keys are that end with erased persons, the same on all machines; unset: "
            "epochs/ in the data directory, or with COMMS_DATABASE_URL none, and the master key does"
        ),
    ] = None
    public_url: Annotated[
        str | None, Meta(description="our address as recipients and providers see it, https://...")
    ] = None
    introspection_url: Annotated[
        str | None,
        Meta(description="where tokens of others are asked about (RFC 7662), https://...; unset: only ours"),
    ] = None
    introspection_client_id: Annotated[str | None, Meta(description="as whom we ask there")] = None
    introspection_client_secret: Annotated[str | None, Meta(description="the secret that goes with it")] = (
        None
    )
    introspection_client_secret_file: Annotated[
        Path | None, Meta(description="a file that holds that secret")
    ] = None
    token_requests_per_second: Annotated[
        Annotated[int, Meta(ge=1, le=1_000_000)] | None,
        Meta(description="how many requests a token may make, in each process; unset: any number"),
    ] = None
    brand_requests_per_second: Annotated[
        Annotated[int, Meta(ge=1, le=1_000_000)] | None,
        Meta(description="how many requests a brand may, whose limits say nothing; unset: any number"),
    ] = None
    schedule_horizon_days: Annotated[
        int, Meta(description="how far ahead a message may be scheduled, in days", ge=1, le=36_500)
    ] = 731  # two years, one of them a leap year
    lease_seconds: Annotated[
        float,
        Meta(
            description="how long a worker owns what it claimed; a provider gets a third of it", ge=3, le=3600
        ),
    ] = 30
    worker_concurrency: Annotated[
        int, Meta(description="how many messages a worker hands over at a time", ge=1)
    ] = 400
    drain_seconds: Annotated[float, Meta(description="how long a stop waits for what is in flight", ge=0)] = (
        20
    )
    events_to_local_addresses: Annotated[
        bool,
        Meta(description="tell of events by http and inside our own network, too: for trying out only"),
    ] = False
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="the least urgent lines to log")
    ] = "info"

    def __repr__(self) -> str:
        """Without the values: some of them are secrets."""
        return "Settings(...)"


def load(environ: Mapping[str, str] = os.environ, env_file: Path = Path(".env")) -> Settings:
    """The settings in force. An empty variable counts as unset. Raises BadSetting."""
    given = {**_read_env_file(env_file), **_ours(environ)}
    values = {_field(variable): value for variable, value in given.items() if value}
    try:
        loaded = msgspec.convert(values, Settings, strict=False, dec_hook=_decode)
    except msgspec.ValidationError as error:
        raise BadSetting(_explain(str(error))) from None
    if loaded.database_url and not _is_address(loaded.database_url):
        raise BadSetting(
            "COMMS_DATABASE_URL is no address of a PostgreSQL: postgresql://user@host/database is one."
        )
    if loaded.public_url and not _is_public(loaded.public_url):
        raise BadSetting("COMMS_PUBLIC_URL is no address to build on: https://comms.example.org is one.")
    _check_introspection(loaded)
    return loaded


def _check_introspection(loaded: Settings) -> None:
    """Tokens are shown there: by TLS alone, unless nothing leaves this machine."""
    url = loaded.introspection_url
    if not url:
        return
    if not _is_public(url) or not (url.startswith("https://") or _is_loopback(urlsplit(url).hostname or "")):
        raise BadSetting("COMMS_INTROSPECTION_URL must be https, or http on loopback.")
    secret = loaded.introspection_client_secret or loaded.introspection_client_secret_file
    if not loaded.introspection_client_id or not secret:
        raise BadSetting(
            "COMMS_INTROSPECTION_URL needs COMMS_INTROSPECTION_CLIENT_ID, and "
            "COMMS_INTROSPECTION_CLIENT_SECRET or COMMS_INTROSPECTION_CLIENT_SECRET_FILE."
        )


def describe(settings: Settings | type[Settings] = Settings) -> list[tuple[str, str, str, str]]:
    """Variable, type, default and meaning of each setting, for a person to read."""
    return [
        (_variable(field.name), _type_name(field.type), _default(field), _meaning(field))
        for field in fields(settings)
    ]


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"postgresql", "postgres"} and parts.port != 0
    except ValueError:  # a port that is none
        return False


def _is_public(url: str) -> bool:
    """A path may stand in it, where a proxy puts us under one; what follows it is ours."""
    try:
        parts = urlsplit(url)
        known = parts.scheme in {"https", "http"} and bool(parts.hostname) and parts.port != 0
        return known and re.fullmatch(r"[A-Za-z0-9._~:/\[\]%-]+", url) is not None
    except ValueError:
        return False


def _is_loopback(host: str) -> bool:
    """The name that is kept for it (RFC 6761, section 6.3), or one of its addresses."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _variable(field: str) -> str:
    return PREFIX + field.upper()


def _field(variable: str) -> str:
    """The field's name; a variable that nobody knows is most likely misspelt, and said so."""
    known = [_variable(field.name) for field in fields(Settings)]
    if variable in known:
        return variable.removeprefix(PREFIX).lower()
    near = difflib.get_close_matches(variable, known, n=1, cutoff=0)
    raise BadSetting(f"{variable} is no setting of comms; did you mean {near[0]}?")


def _ours(variables: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in variables.items()
        if name.startswith(PREFIX) and not name.startswith(_TEST_PREFIX)
    }


def _read_env_file(path: Path) -> dict[str, str]:
    """Lines of `NAME=value`, `export` before and quotes around allowed; blank and # lines are skipped."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError):
        raise BadSetting(f"{path} can't be read as text.") from None
    return _ours(dict(_assignment(path, number, line) for number, line in enumerate(lines, 1) if _says(line)))


def _says(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _assignment(path: Path, number: int, line: str) -> tuple[str, str]:
    name, equals, value = line.strip().removeprefix("export ").partition("=")
    if not equals:
        raise BadSetting(f"{path}, line {number}: write NAME=value.")
    value = value.strip()
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        value = value[1:-1]
    return name.strip(), value


def _decode(wanted: type, value: Any) -> Any:
    if wanted is Path:
        return Path(value).expanduser()
    raise NotImplementedError(wanted)


def _explain(complaint: str) -> str:
    """The member becomes its variable: `port` is COMMS_PORT."""
    field, _, what = explain(complaint, Settings).message.partition(" ")
    return f"{_variable(field)} {what}"


def _type_name(hint: Any) -> str:
    """`int`, `str`, `path`, or the words to choose from."""
    if get_origin(hint) is Annotated:
        return _type_name(get_args(hint)[0])
    if get_origin(hint) is Literal:
        return " | ".join(get_args(hint))
    if get_origin(hint) in {Union, UnionType}:
        return _type_name(get_args(hint)[0])
    return "path" if hint is Path else str(hint.__name__)


def _default(field: FieldInfo) -> str:
    return "" if field.default is None else str(field.default)


def _meaning(field: FieldInfo) -> str:
    metas = [note for note in field.type.__metadata__ if isinstance(note, Meta)]
    return metas[0].description or ""
