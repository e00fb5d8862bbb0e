"""`python -m tautomer` is the command `tautomer`."""

from tautomer.cli.main import main

main()
