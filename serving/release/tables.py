"""Tables of the registry: releases, what people were asked, the journal that nobody may change, the leases of deploys."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from sqlalchemy import event

metadata = sa.MetaData()

releases = sa.Table(
    "releases",
    metadata,
    sa.Column("id", sa.String(16), primary_key=True),
    sa.Column("app", sa.String(128), nullable=False),
    sa.Column("package", sa.String(64), nullable=False),
    sa.Column("verdict_hash", sa.String(64), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("candidate_revision", sa.String(128)),
    sa.Column("revision", sa.String(128)),
    sa.Column("target", sa.String(32), nullable=False),
    sa.Column("urls", sa.JSON, nullable=False),
    sa.Column("evidence", sa.JSON, nullable=False),
    sa.Column("created_at", sa.String(40), nullable=False),
    sa.Column("updated_at", sa.String(40), nullable=False),
    sa.UniqueConstraint("target", "app", "package"),
    sa.CheckConstraint("state IN ('intent', 'candidate', 'live', 'retired', 'failed')"),
)
one_live_release = sa.Index(
    "one_live_release",
    releases.c.target,
    releases.c.app,
    unique=True,
    sqlite_where=releases.c.state == "live",
    postgresql_where=releases.c.state == "live",
)

journal = sa.Table(
    "journal",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", sa.String(40), nullable=False),
    sa.Column("event", sa.String(16), nullable=False),
    sa.Column("release", sa.String(16), nullable=False),
    sa.Column("row", sa.JSON, nullable=False),
    sa.Column("previous", sa.String(64), nullable=False, unique=True),
    sa.Column("hash", sa.String(64), nullable=False, unique=True),
)

approvals = sa.Table(
    "approvals",
    metadata,
    sa.Column("id", sa.String(16), primary_key=True),
    sa.Column("app", sa.String(128), nullable=False),
    sa.Column("target", sa.String(32), nullable=False),
    sa.Column("subject", sa.JSON, nullable=False),
    sa.Column("reasons", sa.JSON, nullable=False),
    sa.Column("evidence", sa.JSON, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("flow_run", sa.String(36)),
    sa.Column("by", sa.String(128)),
    sa.Column("why", sa.Text),
    sa.Column("way", sa.String(16)),
    sa.Column("asked_at", sa.String(40), nullable=False),
    sa.Column("until", sa.String(40), nullable=False),
    sa.Column("decided_at", sa.String(40)),
    sa.CheckConstraint("state IN ('pending', 'approved', 'denied', 'expired')"),
)

leases = sa.Table(
    "leases",
    metadata,
    sa.Column("target", sa.String(32), primary_key=True),
    sa.Column("app", sa.String(128), primary_key=True),
    sa.Column("token", sa.String(32), nullable=False),
    sa.Column("host", sa.String(255), nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("pid_started", sa.Float, nullable=False),
    sa.Column("taken_at", sa.String(40), nullable=False),
    sa.Column("renewed_at", sa.String(40), nullable=False),
)

_APPEND_ONLY: Final = {
    "sqlite": tuple(
        f"CREATE TRIGGER journal_refuses_{verb} BEFORE {verb} ON journal\n"
        "BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END"
        for verb in ("UPDATE", "DELETE")
    ),
    "postgresql": (
        "CREATE OR REPLACE FUNCTION journal_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE EXCEPTION 'the journal is append-only' USING ERRCODE = 'integrity_constraint_violation'; END $$",
        "CREATE TRIGGER journal_refuses_change BEFORE UPDATE OR DELETE OR TRUNCATE ON journal "
        "FOR EACH STATEMENT EXECUTE FUNCTION journal_is_append_only()",
    ),
}
for _dialect, _statements in _APPEND_ONLY.items():
    for _statement in _statements:
        event.listen(journal, "after_create", sa.DDL(_statement).execute_if(dialect=_dialect))  # type: ignore[no-untyped-call]
