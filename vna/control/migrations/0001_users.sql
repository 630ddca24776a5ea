-- Who may use the archive, and as what. Times are microseconds since 1970 in UTC.
CREATE TABLE user (
    name TEXT PRIMARY KEY,
    -- argon2id, with its parameters and salt.
    password TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('admin', 'write', 'read')),
    tenant INTEGER NOT NULL,
    created_us INTEGER NOT NULL
) WITHOUT ROWID;

-- Counts changes, whoever makes them: a server remembers verified passwords only as long as it stays.
CREATE TABLE user_revision (revision INTEGER NOT NULL);
INSERT INTO user_revision VALUES (0);
CREATE TRIGGER user_added AFTER INSERT ON user
BEGIN UPDATE user_revision SET revision = revision + 1; END;
CREATE TRIGGER user_changed AFTER UPDATE ON user
BEGIN UPDATE user_revision SET revision = revision + 1; END;
CREATE TRIGGER user_removed AFTER DELETE ON user
BEGIN UPDATE user_revision SET revision = revision + 1; END;
