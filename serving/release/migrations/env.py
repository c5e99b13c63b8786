"""What alembic runs a revision in: the connection, and the transaction, of the caller."""

from alembic import context

from serving.release.migrations import VERSION_TABLE
from serving.release.tables import metadata

context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, version_table=VERSION_TABLE, render_as_batch=True
)
context.run_migrations()
