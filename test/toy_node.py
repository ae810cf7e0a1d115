"""The node in a process that knows the toy methods."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from toy_methods import register

from t2g_ros.segmenter import main

register()
sys.exit(main())
