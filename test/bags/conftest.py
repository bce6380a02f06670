"""Fixtures of the tests on recordings."""

import pytest
from drive_recordings import write_drive


@pytest.fixture
def record(tmp_path):
    """Give the function that writes a drive to a new folder."""

    def write(folder='drive', **options):
        return write_drive(tmp_path / folder, **options)

    return write
