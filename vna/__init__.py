"""A vendor neutral archive: Python decides, Rust moves. ``ARCHITECTURE.md`` tells how."""
