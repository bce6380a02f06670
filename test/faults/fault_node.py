"""`python fault_node.py FILE --ros-args ...`: the real node with an engine that fails on demand.

Everything is the node's own but `create_engine`. The engine reads from FILE what goes wrong; where
nothing does, it answers by the picture alone: a picture of red value r is 1 + r/10 m deep, so that
a listener can tell from which picture a depth image was made.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

import semdepth_ros.ros.network as network
from semdepth_ros.engines.engine import EngineError, Prediction
from semdepth_ros.ros import node


class FaultEngine:
    """`Engine` that does what the file says: '' works, for the rest see `predict`."""

    name, device, precision = 'fault', 'cpu', 'float32'

    def __init__(self, file: Path, batch: int, width: int, height: int) -> None:
        self._file = file
        self.batch, self.width, self.height = batch, width, height
        self._is_closed = False

    def predict(self, images_BHW3: np.ndarray) -> Prediction:
        if self._is_closed:
            raise EngineError('engine fault is closed')
        fault = self._file.read_text()
        if fault == 'raise':
            raise RuntimeError('the driver\nfell over')
        if fault == 'slow':
            time.sleep(0.05)
        if fault == 'hang':
            while self._file.read_text() == 'hang':
                time.sleep(0.02)
        if (fault == 'out of memory' and self.width == 320) or fault == 'no memory at all':
            raise RuntimeError('CUDA out of memory. Tried to allocate 2.00 GiB')
        red_B = images_BHW3[..., 0].mean(axis=(1, 2))
        # What was learned at full size looks half as large at half size, hence twice as far.
        depth_B = (1 + red_B / 10) * 320 / self.width
        shape = images_BHW3.shape[:3]
        inv_depth = np.broadcast_to(np.float32(1 / depth_B)[:, None, None], shape).copy()
        if fault == 'nan':
            inv_depth[:] = np.nan
        return Prediction(inv_depth, np.zeros(shape, np.uint8), np.full(shape, 200, np.uint8))

    def close(self) -> None:
        self._is_closed = True


def main() -> int:
    file = Path(sys.argv.pop(1))

    def create_engine(weights, *, batch, width, height, **options) -> FaultEngine:
        if file.read_text() == 'no room to start' and width == 320:
            raise EngineError('engine fault on cpu: CUDA out of memory. Tried to allocate 2.00 GiB')
        return FaultEngine(file, batch, width, height)

    network.create_engine = create_engine
    return node.main()


if __name__ == '__main__':
    sys.exit(main())
