"""`python -m fastlstm` is the command line."""

from fastlstm.cli import main

main()
