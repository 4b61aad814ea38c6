"""Settings: one typed object from the environment and `.env`; nothing else in the project reads them.

A secret may also be in a file of its own or in the keyring (see secret_sources.py).

A connection is a CRM account with a name and a kind. Its settings come from variables that begin with its name in capitals
(`SALESFORCE_CLIENT_ID`, `HUBSPOT_ACCESS_TOKEN`, `MARKETO_ENDPOINT`). One of each kind is the usual case; more are named in
`CDP_CONNECTIONS`, for example `CDP_CONNECTIONS=emea:salesforce,apac:salesforce,hubspot` with `EMEA_CLIENT_ID`, `APAC_CLIENT_ID` and so on.
"""

from __future__ import annotations

import os
import re
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, DotEnvSettingsSource, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from cdp_pipelines.private_files import GROUP_AND_OTHERS
from cdp_pipelines.scrubbing import scrub
from cdp_pipelines.secret_sources import BadSecretFile, PrivateKey, Secret, SecretFiles, check_private

Kind = Literal["salesforce", "hubspot", "marketo"]
LOOPBACK = ("127.0.0.1", "localhost", "::1")
KINDS: tuple[Kind, ...] = get_args(Kind)
PROJECT_DIR = Path(__file__).parents[1]
ENV_FILE = Path(os.environ.get("CDP_ENV_FILE", PROJECT_DIR / ".env"))


class ConfigError(Exception):
    """A setting is missing or wrong. The text names the setting and says what to do."""

    def __init__(self, setting: str, problem: str, remedy: str, connection: str | None = None):
        problem, remedy = scrub(problem), scrub(remedy)
        super().__init__(f"{setting} {problem}. {remedy}")
        self.setting, self.problem, self.remedy, self.connection = setting, problem, remedy, connection


def _base_url(url: str) -> str:
    """A URL without a trailing slash; plain http only for loopback hosts, where there is nobody to listen in."""
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("is not a URL such as https://example.com")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise ValueError("uses plain http; only https is accepted, except for this machine's own loopback address")
    return url.strip().rstrip("/")


BaseUrl = Annotated[str, AfterValidator(_base_url)]


class _Sourced(BaseSettings):
    """Settings from code, else from the environment, else from a file that it names (secrets), else from `.env`."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """See pydantic-settings. Raises ConfigError for a `.env` or a file with a secret that is not private."""
        assert isinstance(env_settings, EnvSettingsSource)
        assert isinstance(dotenv_settings, DotEnvSettingsSource)
        if isinstance(path := dotenv_settings.env_file, Path):
            try:
                check_private(path, GROUP_AND_OTHERS)
            except BadSecretFile as bad:
                raise ConfigError(str(path), bad.problem, bad.remedy) from None
        files = SecretFiles(settings_cls, [env_settings, dotenv_settings], ConfigError)
        return init_settings, env_settings, files, dotenv_settings


class Connection(_Sourced):
    """One CRM account. Subclasses add the settings of their kind."""

    model_config = SettingsConfigDict(env_file=ENV_FILE, extra="ignore", frozen=True, env_ignore_empty=True, hide_input_in_errors=True)
    # Setting name -> where a person finds its value.
    WHERE: ClassVar[dict[str, str]] = {}

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    kind: Kind
    timeout_seconds: float = Field(default=60, gt=0, description="How long to wait for one answer.")
    max_attempts: int = Field(default=6, ge=1, description="Tries for one call before it counts as failed.")
    overlap_seconds: int = Field(default=120, ge=0, description="How far an incremental read goes back behind its cursor.")
    poll_minutes: int | None = Field(
        default=None, ge=1, lt=60, description="Minutes between two syncs of this connection alone; unset: with all others, every hour."
    )
    webhook_secret: Secret | None = Field(
        default=None, description="What change notifications are signed with (HubSpot: the app's client secret) or must show (the others)."
    )
    webhook_secret_previous: Secret | None = Field(default=None, description="The secret before it, accepted while it is being changed.")

    @property
    @abstractmethod
    def address(self) -> str | None:
        """Base URL of the CRM."""

    @property
    def host(self) -> str:
        """The CRM's host; `sandbox` for anything on this machine, whose ports change."""
        host = urlsplit(self.address or "").hostname or ""
        return "sandbox" if host in LOOPBACK else host

    def variable(self, field: str) -> str:
        """The environment variable of one of this connection's settings."""
        return f"{self.name}_{field}".upper()

    def webhook_secrets(self) -> list[str]:
        """The secrets that a change notification may have; none: nothing is accepted."""
        return [s.get_secret_value() for s in (self.webhook_secret, self.webhook_secret_previous) if s and s.get_secret_value()]

    @abstractmethod
    def missing(self) -> list[str]:
        """Names of required settings that are absent (lower case, without the connection's prefix)."""


class SalesforceConnection(Connection):
    """A Salesforce org. Signs in by refresh token, signed assertion (JWT), password or client credentials: the first that is given."""

    WHERE: ClassVar = {
        "client_id": "Consumer Key of the Connected App (Setup > Apps > App Manager > your app > View)",
        "client_secret": "Consumer Secret of the Connected App (same page)",
        "username": "user name of the API user",
        "password": "the API user's password with the security token appended",
    }
    kind: Literal["salesforce"] = "salesforce"
    client_id: str | None = None
    client_secret: Secret | None = None
    username: str | None = None
    password: Secret | None = Field(default=None, description="Password with the security token appended.")
    refresh_token: Secret | None = None
    refresh_token_file: Path | None = Field(
        default=None, description="File that keeps the refresh token: read if it is there, written when Salesforce renews the token."
    )
    private_key: PrivateKey | None = Field(
        default=None, description="RSA key of the Connected App's certificate (JWT bearer): PEM text, or the path of a PEM file."
    )
    domain: str | None = Field(
        default=None, description="My Domain name, e.g. `acme` for acme.my.salesforce.com; needed for client credentials."
    )
    login_url: BaseUrl = Field(default="https://login.salesforce.com", description="https://test.salesforce.com for a sandbox org.")
    api_version: str = Field(default="62.0", pattern=r"^\d{2}\.0$")
    bulk_above: int = Field(default=10_000, ge=0, description="Objects with more records than this are read with Bulk API 2.0.")
    bulk_poll_seconds: float = Field(default=2, gt=0, description="First pause between two looks at a bulk job; doubles up to 30 s.")
    visibility_lag_seconds: int = Field(default=60, ge=0, description="Never read closer to now than this.")
    daily_call_reserve: float = Field(default=0.1, ge=0, lt=1, description="Share of the org's daily API calls left for others.")

    @model_validator(mode="after")
    def _domain_gives_login_url(self) -> SalesforceConnection:
        if self.domain and "login_url" not in self.model_fields_set:
            object.__setattr__(self, "login_url", f"https://{self.domain}.my.salesforce.com")
        return self

    @property
    def address(self) -> str | None:
        """See Connection."""
        return self.login_url

    def missing(self) -> list[str]:
        """See Connection."""
        renewable = self.refresh_token or (self.refresh_token_file and self.refresh_token_file.expanduser().exists())
        if self.private_key and not renewable:
            return [n for n in ("client_id", "username") if getattr(self, n) is None]
        needed = ["client_id", "client_secret"]
        if self.username or self.password or not (renewable or self.domain or "login_url" in self.model_fields_set):
            needed += ["username", "password"]
        return [n for n in needed if getattr(self, n) is None]


class HubSpotConnection(Connection):
    """A HubSpot portal, with the access token of a private app or a service key."""

    WHERE: ClassVar = {"access_token": "access token of the private app (Settings > Integrations > Private Apps > your app > Auth)"}
    kind: Literal["hubspot"] = "hubspot"
    access_token: Secret | None = None
    base_url: BaseUrl = "https://api.hubapi.com"
    calls_per_10_seconds: int = Field(default=100, ge=1, description="190 for Professional and Enterprise.")
    searches_per_second: int = Field(default=4, ge=1)
    concurrent_calls: int = Field(default=10, ge=1, le=50, description="Calls under way at a time; long lists are read in as many parts.")
    daily_call_reserve: float = Field(default=0.1, ge=0, lt=1, description="Share of the portal's daily API calls left for others.")
    visibility_lag_seconds: int = Field(default=60, ge=0, description="Search shows new records only after some seconds.")

    @property
    def address(self) -> str | None:
        """See Connection."""
        return self.base_url

    def missing(self) -> list[str]:
        """See Connection."""
        return ["access_token"] if self.access_token is None else []


class MarketoConnection(Connection):
    """A Marketo instance, with the custom service's client id and secret."""

    WHERE: ClassVar = {
        "endpoint": "REST endpoint (Admin > Integration > Web Services), https://xxx-xxx-xxx.mktorest.com",
        "client_id": "Client Id of the LaunchPoint custom service (Admin > Integration > LaunchPoint > View Details)",
        "client_secret": "Client Secret of the LaunchPoint custom service (same page)",
    }
    kind: Literal["marketo"] = "marketo"
    endpoint: BaseUrl | None = None
    client_id: str | None = None
    client_secret: Secret | None = None
    calls_per_20_seconds: int = Field(default=90, ge=1, description="The instance allows 100; the rest is for others.")
    bulk_poll_seconds: float = Field(default=10, gt=0, description="First pause between two looks at an export; doubles up to 60 s.")
    visibility_lag_seconds: int = Field(default=60, ge=0, description="Never read closer to now than this.")
    daily_calls: int = Field(default=50_000, ge=1, description="API calls that the instance allows in a day (Admin > Web Services).")
    daily_call_reserve: float = Field(
        default=0.1, ge=0, lt=1, description="Share of the instance's daily API calls left for others; 0 spares the look."
    )
    activity_type_ids: list[int] = Field(
        default=[1, 2, 3, 6, 7, 8, 9, 10, 11, 12, 13, 22, 32, 34, 35, 36, 37, 46, 104],
        description="Activities to keep. 32, 34, 35, 36 and 37 are always read: they tell of merges, opportunity links and deletions.",
    )

    @field_validator("endpoint")
    @classmethod
    def _without_rest(cls, url: str | None) -> str | None:
        # People paste the endpoint as Marketo's page shows it, with /rest at the end.
        return re.sub(r"/(rest|identity)$", "", url) if url else url

    @property
    def address(self) -> str | None:
        """See Connection."""
        return self.endpoint

    def missing(self) -> list[str]:
        """See Connection."""
        return [n for n in ("endpoint", "client_id", "client_secret") if getattr(self, n) is None]


CONNECTION_CLASSES: dict[Kind, type[Connection]] = {
    "salesforce": SalesforceConnection, "hubspot": HubSpotConnection, "marketo": MarketoConnection,
}  # fmt: skip


class Settings(_Sourced):
    """What the whole project is set to. Every variable begins with `CDP_`."""

    model_config = SettingsConfigDict(
        env_prefix="CDP_", env_file=ENV_FILE, extra="ignore", frozen=True, env_ignore_empty=True, hide_input_in_errors=True
    )

    data_dir: Path = Field(default=PROJECT_DIR / "data", description="Everything made at run time appears here.")
    connections: str | None = Field(
        default=None, description="`name:kind` pairs, comma separated; unset: one of each kind that has settings."
    )
    sandbox_port: int = Field(default=8800, description="First of the sandbox's four ports (page, Salesforce, HubSpot, Marketo).")
    sandbox_people: int = Field(default=5000, ge=0, description="People in the sandbox's world.")
    sandbox_seed: int = 1
    # Not under data_dir: the sandbox stands for the vendors, who stay the same when our own data starts anew.
    sandbox_dir: Path = Field(default=PROJECT_DIR / "data" / "sandbox", description="What changed in the sandbox is kept here.")
    engine: Literal["duckdb", "postgres", "spark", "snowflake", "bigquery", "databricks", "redshift"] = Field(
        default="duckdb", description="Where raw and modelled tables are kept and built; each but duckdb needs the extra of its name."
    )
    engine_url: Secret | None = Field(
        default=None, description="The engine's address with what signs in to it, such as postgresql://user:password@host:5432/database."
    )
    iceberg_catalog: Secret | None = Field(
        default=None, description="With spark: the database of the Iceberg catalog, such as postgresql+psycopg2://user:password@host/lake."
    )
    iceberg_warehouse: str | None = Field(
        default=None,
        pattern=r"^[a-z][a-z0-9]*://.+",
        description="With spark: where the Iceberg tables are, file:///folder or s3://bucket/folder.",
    )
    memory_limit: str | None = Field(
        default=None,
        pattern=r"^\d+(\.\d+)? ?[KMGT]i?B$",
        description="The most memory that DuckDB takes before it works on the disk, such as 8GB; unset: four fifths of the machine's.",
    )
    executor: Literal["in_process", "celery"] = Field(
        default="in_process", description="Where the steps of a Dagster run are done: in the run's own process, or by Celery workers."
    )
    celery_broker: Secret | None = Field(default=None, description="Redis through which runs and Celery workers speak: redis://host:6379/0")
    dagster_postgres_url: Secret | None = Field(
        default=None, description="Dagster's storage past one process (deploy/dagster/dagster.yaml): postgresql+psycopg2://…"
    )
    lock_wait_seconds: float = Field(default=600, ge=0, description="How long a run waits for the warehouse while another has it.")
    writeback_file: Path = Field(default=Path(__file__).with_name("writeback.yml"), description="What flows back to the CRMs.")
    retention_file: Path = Field(
        default=Path(__file__).with_name("retention.yml"), description="How long what is no longer current is kept."
    )

    webhook_host: str = Field(
        default="127.0.0.1", description="Where the receiver of change notifications listens; put a proxy with TLS before it."
    )
    webhook_port: int = Field(default=8090, ge=0, le=65535)
    webhook_public_url: BaseUrl | None = Field(
        default=None, description="Address that the CRMs call, when a proxy is before the receiver; HubSpot signs it."
    )
    inbox_most: int = Field(default=1_000_000, ge=1, description="Events that may wait in the inbox; more are refused until there is room.")
    metrics_host: str = Field(
        default="127.0.0.1", description="Where the receiver's metrics are served; only this machine can ask unless told otherwise."
    )
    metrics_port: int | None = Field(
        default=None, ge=0, le=65535, description="Port of the receiver's metrics for Prometheus; unset: they are not served."
    )
    metrics_file: Path | None = Field(
        default=None,
        description="Where each publication writes the syncs' metrics, for node_exporter's textfile collector (a name that ends with .prom).",
    )
    published_mode: str = Field(
        default="600",
        pattern=r"^6[04][04]$",
        description="Who may read the published file: its owner (600), also its group (640), or all (644).",
    )
    masked: bool = Field(default=True, description="Whether a masked copy of the published file is written beside it.")
    masked_mode: str = Field(
        default="600",
        pattern=r"^6[04][04]$",
        description="Who may read the masked file: its owner (600), also its group (640), or all (644).",
    )
    privacy_key: Secret | None = Field(
        default=None, description="Behind pseudonyms, the audit log and the suppression list; unset: a file that is made once. Keep it."
    )
    encryption_key: Secret | None = Field(
        default=None,
        description="Encrypts every file that holds people's data; unset: they are plain. At least 32 characters; keep a copy.",
    )
    encryption_key_previous: Secret | None = Field(
        default=None, description="The key before it, for `cdp privacy rekey`, which brings every file to the key that is set."
    )
    erase_told: bool = Field(
        default=False, description="Whether a CRM's privacy deletion, when a notification tells it, erases the whole customer here."
    )
    alert_channels: Secret | None = Field(
        default=None,
        description="Where alerts go: addresses as Apprise writes them (mailtos://, slack://, msteams://, https://), by spaces.",
    )
    real_time_lag_minutes: float = Field(
        default=5, gt=0, description="How late a change may be in the published file before the check `real_time_lag` warns."
    )
    identity_region: str = Field(
        default="US",
        pattern=r"^[A-Z]{2}$",
        description="Country of telephone numbers without country code, for records that name no country.",
    )
    identity_plus_tags: bool = Field(default=True, description="Whether ann+news@acme.com is the mailbox of ann@acme.com.")

    @field_validator("data_dir", "sandbox_dir", "writeback_file", "retention_file")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        return path if path.is_absolute() else (PROJECT_DIR / path).resolve()

    @property
    def warehouse(self) -> Path:
        """The pipeline's own DuckDB file; only the pipeline opens it, one process at a time."""
        return self.data_dir / "warehouse.duckdb"

    @property
    def published(self) -> Path:
        """The DuckDB file that analysts open."""
        return self.data_dir / "cdp.duckdb"

    @property
    def report(self) -> Path:
        """The page that `cdp report` builds."""
        return self.data_dir / "report.html"

    @property
    def alerts(self) -> Path:
        """Which alerts are open, and which channels were told."""
        return self.data_dir / "alerts.json"

    @property
    def published_permissions(self) -> int:
        """The published file's permission bits."""
        return int(self.published_mode, 8)

    @property
    def masked_file(self) -> Path:
        """The published tables without what says who anybody is."""
        return self.data_dir / "cdp_masked.duckdb"

    @property
    def masked_permissions(self) -> int:
        """The masked file's permission bits."""
        return int(self.masked_mode, 8)

    @property
    def inbox(self) -> Path:
        """Where change notifications wait."""
        return self.data_dir / "inbox.sqlite"

    @property
    def audit_dir(self) -> Path:
        """The record of every data operation."""
        return self.data_dir / "audit"

    @property
    def privacy_dir(self) -> Path:
        """What must outlive all else: the suppression list, certificates of erasures, and the key."""
        return self.data_dir / "privacy"

    @property
    def writeback_dir(self) -> Path:
        """Plans, and the outbox with everything that was ever written to the CRMs."""
        return self.data_dir / "writeback"

    def connection_kinds(self) -> dict[str, Kind]:
        """Name and kind of every connection that the environment speaks of, in order; empty when it speaks of none.

        Raises ConfigError when `CDP_CONNECTIONS` cannot be read.
        """
        if self.connections is None:
            return {kind: kind for kind in KINDS if _mentioned(kind)}
        found: dict[str, Kind] = {}
        for item in filter(None, (part.strip() for part in self.connections.split(","))):
            name, _, kind = item.partition(":")
            kind = kind or name
            if kind not in KINDS:
                raise ConfigError("CDP_CONNECTIONS", f"has {item!r}, which is not name:kind", f"Kinds are {', '.join(KINDS)}.")
            if name in found:
                raise ConfigError("CDP_CONNECTIONS", f"names {name!r} twice", "Give each connection a name of its own.")
            found[name] = kind
        return found


def load_settings() -> Settings:
    """The settings from the environment and `.env`. Raises ConfigError for a value that cannot be used."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        setting = f"CDP_{str(first['loc'][0]).upper()}" if first["loc"] else "A CDP_ setting"
        raise ConfigError(setting, _problem(first["msg"]), "Correct it in the environment or in .env.") from None


def _problem(message: str) -> str:
    said = message.removeprefix("Value error, ")
    return said if said.startswith(("is ", "uses ")) else f"is wrong: {said}"


def _mentioned(kind: Kind) -> bool:
    """Whether the environment or `.env` sets a credential of this kind."""
    connection = CONNECTION_CLASSES[kind](name=kind, _env_prefix=f"{kind.upper()}_")
    return any(getattr(connection, field) is not None for field in CONNECTION_CLASSES[kind].WHERE)


def connection_from_env(name: str, kind: Kind) -> Connection:
    """The connection's settings from variables that begin with its name. Raises ConfigError."""
    return _build(name, kind, {}, prefix=f"{name.upper()}_")


def connection_from_config(name: str, config: Mapping[str, Any]) -> Connection:
    """The connection from a dictionary with the guide's keys (`kind` may be left out when the name is one). Raises ConfigError."""
    kind = config.get("kind", name)
    if kind not in KINDS:
        raise ConfigError(
            f"{name}.kind", f"is {kind!r}" if "kind" in config else "is missing", f"It must be one of {', '.join(KINDS)}.", name
        )
    unknown = sorted(set(config) - set(CONNECTION_CLASSES[kind].model_fields))
    if unknown:
        valid = ", ".join(sorted(set(CONNECTION_CLASSES[kind].model_fields) - {"name", "kind"}))
        raise ConfigError(f"{name}.{unknown[0]}", "is not a setting", f"Settings of a {kind} connection: {valid}.", name)
    return _build(name, kind, {k: v for k, v in config.items() if k != "kind"}, prefix=None)


def _build(name: str, kind: Kind, values: Mapping[str, Any], prefix: str | None) -> Connection:
    cls = CONNECTION_CLASSES[kind]

    def label(field: str) -> str:
        return f"{prefix}{field.upper()}" if prefix is not None else f"{name}.{field}"

    # A dictionary stands alone: without this, SALESFORCE_PASSWORD would leak into a connection that was configured in code.
    options = {"_env_prefix": prefix} if prefix is not None else {"_env_prefix": "\0", "_env_file": None}
    try:
        connection = cls(name=name, **values, **options)
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0]) if first["loc"] else "name"
        raise ConfigError(label(field), _problem(first["msg"]), "Correct it in the environment or in .env.", name) from None
    missing = connection.missing()
    if missing:
        raise ConfigError(label(missing[0]), "is missing", f"Set it to the {cls.WHERE[missing[0]]}.", name)
    return connection
