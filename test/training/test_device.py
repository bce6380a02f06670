"""What a training runs on: what is missing is said at the start."""

import pytest

from semdepth_training.device import DeviceConfig, DeviceError, launch


def test_compiled_losses_without_a_compiler_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv('PATH', str(tmp_path))
    monkeypatch.delenv('CXX', raising=False)
    with pytest.raises(DeviceError, match='compile_losses is true, but there is no C'):
        launch(DeviceConfig(accelerator='cpu', compile_losses=True))
