"""Whether a database has another library's tables, as the installed version of it wants them.

MLflow and Optuna make their tables in any database that they open, and MLflow brings those of an
older version up to date. Who only reads has to ask first.
"""

import sqlite3
from collections.abc import Collection
from pathlib import Path
from urllib.parse import quote

import sqlalchemy

# Alembic's own, in which a database says which revision of a schema it has.
REVISION = "alembic_version"


def unfit(
    address: str, library: str, tables: Collection[str], filled: str, migrations: Path
) -> str:
    """What a database has instead of a library's tables; empty where it has them.

    A SQLite file is opened for reading alone.

    Args:
        address: of the database.
        library: its name.
        tables: the tables by which to know it, at least.
        filled: the one of them that has a row from the beginning.
        migrations: folder of the revisions of its schema, as Alembic wants it.
    """
    from alembic.script import ScriptDirectory

    engine = _reading(address)
    try:
        there = set(sqlalchemy.inspect(engine).get_table_names())
        if there.isdisjoint(tables):
            return f"no tables of {library}'s"
        strangers = f"no tables of {library}'s, but others of such names,"
        if REVISION not in there:
            return strangers
        scripts = ScriptDirectory(str(migrations))
        known = {script.revision for script in scripts.walk_revisions()}
        whole = there.issuperset(tables)
        with engine.connect() as connection:
            column = sqlalchemy.text(f"SELECT version_num FROM {REVISION}")
            found = {str(row[0]) for row in connection.execute(column)}
            if found != set(scripts.get_heads()):
                if found and (whole or found <= known):
                    revision = ", ".join(sorted(found))
                    return f"tables of another version of {library} (revision {revision})"
                return strangers
            row = sqlalchemy.text(f"SELECT 1 FROM {filled}")
            if not whole or connection.execute(row).first() is None:
                return f"not all tables of {library}'s"
    finally:
        engine.dispose()
    return ""


def _reading(address: str) -> sqlalchemy.Engine:
    url = sqlalchemy.make_url(address)
    path = url.database
    if url.get_backend_name() != "sqlite" or not path or path.startswith("file:"):
        return sqlalchemy.create_engine(url)
    uri = f"file:{quote(str(Path(path).absolute()))}?mode=ro"
    return sqlalchemy.create_engine("sqlite://", creator=lambda: sqlite3.connect(uri, uri=True))
