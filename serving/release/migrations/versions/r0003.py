"""Approvals: what a person was asked before it went live, and what they said."""

import sqlalchemy as sa
from alembic import op

revision = "r0003"
down_revision = "r0002"


def upgrade() -> None:
    op.create_table(
        "approvals",
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
