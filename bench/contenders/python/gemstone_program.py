"""gemstone in `bench.jsonrpc`, on the Python that its dependencies still know; ends with its standard input."""

import json
import logging
import os
import sys
import threading

from gemstone import MicroService, public_method


class Hello(MicroService):
    name = "bench"
    host = "127.0.0.1"
    port = int(sys.argv[1])

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
print(json.dumps({"bench": {"ready": True}}), flush=True)
Hello().start()
