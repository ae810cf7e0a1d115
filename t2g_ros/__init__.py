# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""The ROS 2 side of Time2General: a thin node around t2g_core.

The build puts the generated messages (t2g_ros.msg) in a package of the same name in the install
folder; a checkout that comes first on the path would hide them, so both folders are joined here.
"""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
