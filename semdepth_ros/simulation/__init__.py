"""The street world: rendered drives with exact depth, labels, poses and moving cars."""

from semdepth_ros.simulation.config import SimulationError, StreetConfig, default_camera
from semdepth_ros.simulation.drive import StreetDrive, StreetFrame

__all__ = ['SimulationError', 'StreetConfig', 'StreetDrive', 'StreetFrame', 'default_camera']
