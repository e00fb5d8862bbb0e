"""Policies that make calls hold: state machines in which time and chance are arguments.

They know neither brokers nor event loops. Middlewares put them around actions, commands around everything else.
"""
