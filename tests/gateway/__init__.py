"""Conformance of the gateway: the answers of a real moleculer-web, byte for byte, and ours beside them.

- `cases/`: gateways (their settings are moleculer-web's) and the requests to each.
- `recorded/`: what moleculer-web 0.11.0 on Node.js answered; written by ``python -m tests.gateway.record``.
- `deviations/`: every case in which we answer otherwise on purpose, with the reason and our exact answer.
- `faults.py`: gateways that are refused for good, and known faults.
- `services.py` and `functions.py` are the twins of `node/services.js` and `node/functions.js`.

A new case: write it into `cases/`, record its gateway (``python -m tests.gateway.record cors``), and see what
``python -m tests.gateway.accept`` says of it. If we are right to answer otherwise, give it a reason:
``python -m tests.gateway.accept wrong-method cors 'GET /x'``.
"""
