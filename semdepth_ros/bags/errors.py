"""The error of everything that has to do with recordings."""

from __future__ import annotations

from semdepth_ros.errors import SemdepthError


class BagError(SemdepthError):
    """A recording, a topic or a message in it that cannot be read or written."""
