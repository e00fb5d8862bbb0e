"""The gemstone contender, on the Python that its dependencies still know. It does JSON-RPC only, and is asked by HTTP only."""

import json
import logging
import os
import platform
import sys
import threading

from gemstone import MicroService, public_method


class Hello(MicroService):
    name = "bench"
    host = "127.0.0.1"
    port = json.loads(sys.argv[2])["port"]

    @public_method
    def hello(self, name):
        return f"hello {name}"

    def get_logger(self):
        return logging.getLogger("tornado.application")


def stop_with_input():
    sys.stdin.read()
    os._exit(0)


logging.disable(logging.WARNING)
threading.Thread(target=stop_with_input, daemon=True).start()
runtime = f"CPython {platform.python_version()}, tornado"
print('{"bench":' + json.dumps({"ready": True, "runtime": runtime}) + "}", flush=True)
Hello().start()
