"""A `worker` whose wall clock follows a file: ``python -m tests.faults.shifted FILE OPTIONS``.

The file holds the seconds by which the wall clock is off. Everything in a process asks the module `time`; it is
changed before anything else is imported.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

_file = Path(sys.argv[1])
_time, _time_ns = time.time, time.time_ns
time.time = lambda: _time() + float(_file.read_text())
time.time_ns = lambda: _time_ns() + int(float(_file.read_text()) * 1e9)

if __name__ == "__main__":
    import asyncio
    import json

    from tests.faults.worker import main

    asyncio.run(main(json.loads(sys.argv[2])))
