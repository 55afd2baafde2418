"""`python -m p2ptk` is the command line."""

from p2ptk.cli import main

main()
