"""Writing worklist items: what was performed already counts for those that come later."""

from __future__ import annotations

from collections.abc import Sequence

from vna.services.worklist import items


def write(connection: items.Connection, tenant: int, new: Sequence[items.New]) -> None:
    """Add items, or change those of the same id; of new ones say how far they are."""
    from vna.services import procedure_steps  # which stands on the items

    for item in items.write(connection, tenant, new):
        study, step_id = item.keys.study_instance_uid, item.keys.scheduled_procedure_step_id
        if step_id and procedure_steps.steps_of(connection, tenant, study, step_id):
            procedure_steps.update_item(connection, tenant, study, step_id)
