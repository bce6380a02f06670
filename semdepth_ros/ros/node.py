"""`depth_node`: starts the node, and ends it within two seconds of Ctrl-C or SIGTERM.

The main thread does nothing but wait for a signal, so that it hears one while another thread loads
weights or sits in the engine.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

#: After this many seconds of putting things away the process ends as it is.
_PATIENCE = 0.8


def main(args: list[str] | None = None) -> int:
    """Run the node until a signal comes and end the process with 0; return 2 if it cannot start."""
    # Until the node exists there is nothing to put away.
    _on_signals(lambda number, frame: os._exit(0))
    import rclpy
    from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
    from rclpy.signals import SignalHandlerOptions

    from semdepth_ros.errors import SemdepthError
    from semdepth_ros.ros.depth_node import DepthNode

    try:
        # Our handlers: rclpy's would end the context under a worker that publishes.
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
        node = DepthNode()
    except Exception as error:
        kind = '' if isinstance(error, SemdepthError) else f'{type(error).__name__}: '
        print(f'depth_node: error: {kind}{error}', file=sys.stderr)
        return 2

    asked_to_stop = threading.Event()
    _on_signals(lambda number, frame: asked_to_stop.set())
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    if node.parameters.autostart:
        executor.create_task(node.start)
    crashed: list[BaseException] = []

    def spin() -> None:
        try:
            executor.spin()
        except ExternalShutdownException:
            pass
        except BaseException as error:
            crashed.append(error)
            raise
        finally:
            asked_to_stop.set()

    spinning = threading.Thread(target=spin, name='executor', daemon=True)
    spinning.start()
    asked_to_stop.wait()

    _end_at_the_latest(1 if crashed else 0)
    executor.shutdown(timeout_sec=_PATIENCE)
    spinning.join()
    if node.close(_PATIENCE):
        node.destroy_node()
        rclpy.shutdown()
    # Everything of ours is put away; the destructors of torch and the like take seconds more.
    _exit_now(1 if crashed else 0)


def _on_signals(handler: Callable[[int, FrameType | None], object]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)


def _end_at_the_latest(code: int) -> None:
    """Leave a thread that ends the process if loading or the engine does not let go."""
    timer = threading.Timer(_PATIENCE, _exit_now, [code])
    timer.daemon = True
    timer.start()


def _exit_now(code: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == '__main__':
    sys.exit(main())
