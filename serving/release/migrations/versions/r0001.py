"""Releases, journal and leases, as they were before revisions were counted; append-only in SQLite alone."""

import sqlalchemy as sa
from alembic import op

revision = "r0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "releases",
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
    live = sa.text("state = 'live'")
    op.create_index("one_live_release", "releases", ["target", "app"], unique=True, sqlite_where=live, postgresql_where=live)
    op.create_table(
        "journal",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at", sa.String(40), nullable=False),
        sa.Column("event", sa.String(16), nullable=False),
        sa.Column("release", sa.String(16), nullable=False),
        sa.Column("row", sa.JSON, nullable=False),
        sa.Column("previous", sa.String(64), nullable=False, unique=True),
        sa.Column("hash", sa.String(64), nullable=False, unique=True),
    )
    op.create_table(
        "leases",
        sa.Column("target", sa.String(32), primary_key=True),
        sa.Column("app", sa.String(128), primary_key=True),
        sa.Column("token", sa.String(32), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("pid_started", sa.Float, nullable=False),
        sa.Column("taken_at", sa.String(40), nullable=False),
        sa.Column("renewed_at", sa.String(40), nullable=False),
    )
    if op.get_context().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER journal_refuses_{verb} BEFORE {verb} ON journal\n"
                "BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END"
            )
