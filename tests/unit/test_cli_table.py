import pytest

from vna.cli import table


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Müller^Jürgen=山田^太郎", "Müller^Jürgen=山田^太郎"),
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("a\r\nb\tc", "a\\x0d\\x0ab\\x09c"),
        ("\u202etxt.exe", "\\x202etxt.exe"),  # right-to-left override
        ("\x9b31m", "\\x9b31m"),
        ("no-break\u00a0space", "no-break\u00a0space"),
    ],
)
def test_what_would_move_a_terminal_is_spelled_out_and_all_else_kept(text, shown):
    assert table.visible(text) == shown


def test_counts_have_their_plural():
    assert table.count(1, "instance") == "1 instance"
    assert table.count(12_000, "instance") == "12,000 instances"
