"""Long actions with progress, kept in the control database."""
