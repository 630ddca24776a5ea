"""The control database: transactions, migrations, errors."""

import sqlite3

import pytest

from vna.control import Control, database
from vna.errors import StorageFailed


@pytest.fixture
def migrations(tmp_path, monkeypatch):
    folder = tmp_path / "migrations"
    folder.mkdir()
    monkeypatch.setattr(database, "MIGRATIONS", folder)
    (folder / "0002_second.sql").write_text("ALTER TABLE pet ADD COLUMN age INTEGER;")
    (folder / "0001_first.sql").write_text("CREATE TABLE pet (name TEXT UNIQUE);")
    return folder


@pytest.fixture
def control(tmp_path, migrations):
    control = Control(tmp_path / "control" / "control.sqlite")
    yield control
    control.close()


def pets(connection):
    return [tuple(row) for row in connection.execute("SELECT name, age FROM pet")]


def test_migrations_are_applied_once_and_in_order(tmp_path, control, migrations):
    control.run_blocking(lambda connection: connection.execute("INSERT INTO pet VALUES ('a', 1)"))
    (migrations / "0003_third.sql").write_text("UPDATE pet SET age = age + 1;")
    for _ in range(2):
        again = Control(tmp_path / "control" / "control.sqlite")
        assert again.run_blocking(pets) == [("a", 2)]
        again.close()


def test_a_migration_that_fails_leaves_nothing_of_itself(tmp_path, control, migrations):
    third = migrations / "0003_third.sql"
    third.write_text("INSERT INTO pet VALUES ('a', 1); INSERT INTO nowhere VALUES (1);")
    path = tmp_path / "control" / "control.sqlite"
    with pytest.raises(StorageFailed, match="nowhere"):
        Control(path)
    assert control.run_blocking(pets) == []


def test_what_raises_is_rolled_back(control):
    def work(connection):
        connection.execute("INSERT INTO pet VALUES ('a', 1)")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        control.run_blocking(work)
    assert control.run_blocking(pets) == []


def test_a_broken_rule_of_the_schema_is_for_the_caller(control):
    def work(connection):
        connection.execute("INSERT INTO pet VALUES ('a', 1)")

    control.run_blocking(work)
    with pytest.raises(sqlite3.IntegrityError):
        control.run_blocking(work)


def test_a_file_that_is_no_database_is_refused(tmp_path, migrations):
    path = tmp_path / "control.sqlite"
    path.write_bytes(b"no database" * 100)
    with pytest.raises(StorageFailed, match=r"control\.sqlite"):
        Control(path)


def test_headers_of_jobs_of_former_versions_become_secrets_or_are_forgotten(tmp_path, monkeypatch):
    path = tmp_path / "control.sqlite"
    all_of_them = database.migrations()
    monkeypatch.setattr(database, "migrations", lambda: all_of_them[:9])
    connection = database.open_database(path)
    rows = [
        ("waits", "DicomWebStowClient", "Retry", '{"server":"s","headers":{"A":"b","C":"d"}}'),
        ("ended", "DicomWebWadoRetrieveClient", "Failure", '{"headers":{"A":"b"},"paths":[]}'),
        ("plain", "DicomWebStowClient", "Paused", '{"server":"s"}'),
        ("other", "DicomModalityStore", "Paused", '{"headers":{"A":"b"}}'),
    ]
    connection.executemany(
        "INSERT INTO job (id, type, state, content, tenant, user, priority, destination, saved,"
        " shown, created_us, retries_left) VALUES (?, ?, ?, ?, 1, '', 0, '', 'null', '{}', 0, 0)",
        rows,
    )
    connection.close()
    monkeypatch.setattr(database, "migrations", lambda: all_of_them)
    connection = database.open_database(path)
    found = {row["id"]: row for row in connection.execute("SELECT id, content, secret FROM job")}
    connection.close()
    assert {name: row["secret"] for name, row in found.items()} == {
        "waits": '{"A":"b","C":"d"}',
        "ended": None,
        "plain": None,
        "other": None,
    }
    assert found["waits"]["content"] == '{"server":"s","headers":["A","C"]}'
    assert found["ended"]["content"] == '{"headers":["A"],"paths":[]}'
    assert found["plain"]["content"] == '{"server":"s"}'
    assert found["other"]["content"] == '{"headers":{"A":"b"}}'
