"""Users of a server, made beside it in its folder as `vna user add` makes them."""

from vna.control import Control, control_file, users
from vna.services import passwords

PASSWORD = "correct horse"


def add_users(root, **named):
    """Make users by name, each given as (role, tenant); all have the same password."""
    control = Control(control_file(str(root)))
    password_hash = passwords.hashed(PASSWORD)
    try:
        for name, (role, tenant) in named.items():
            user = users.User(name=name, role=role, tenant=tenant)
            control.run_blocking(
                lambda connection, user=user: users.add(connection, user, password_hash)
            )
    finally:
        control.close()
