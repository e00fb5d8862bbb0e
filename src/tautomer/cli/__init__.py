"""The command line: `tautomer`."""
