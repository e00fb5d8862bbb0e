"""Real Moleculer nodes, of Node.js, in one mesh with tautomer's. They need npm, and a NATS server.

The nodes of both kinds have the same services (``probe.py`` and ``node/probe.js``) and are spoken with alike
(`Peer`), so that a test is written once and runs in both directions.
"""
