"""Runs the command line as `python -m tlsearch`."""

from tlsearch.cli.main import main

main()
