# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
# Source this (any POSIX shell, from the project's folder) to run the node, `t2g` or the tests by
# hand: `. scripts/environment.sh`. DDS stays on this machine, and apart from other shells.
if [ -z "${AMENT_PREFIX_PATH:-}" ]; then
    AMENT_PREFIX_PATH=$PWD/.venv # no ROS 2 is sourced: the wheels
    export AMENT_PREFIX_PATH
fi
export VIRTUAL_ENV="$PWD/.venv"
export PATH="$VIRTUAL_ENV/bin:$PATH"
export ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST
export ROS_DOMAIN_ID="${ROS_DOMAIN_ID:-$(($$ % 100 + 1))}"
. "$PWD/install/setup.sh"
