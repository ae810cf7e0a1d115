"""`python -m t2g_ros.demo`."""

import sys

from t2g_ros.demo.command import main

sys.exit(main())
