"""The table service x role x peer has no empty cell."""

from support_matrix import shown, wanted


def test_every_cell_of_the_table_is_shown(request):
    """Runs last, see conftest.py; nothing is to be shown where a part of the table is asked for."""
    if request.config.option.keyword or request.config.option.file_or_dir:
        return
    assert shown == wanted(), f"empty: {sorted(wanted() - shown)}"
