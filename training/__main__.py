"""Makes ``python -m training`` work."""

import sys

try:
    from training.cli import main
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] in {"training", "galaxytree"}:
        raise
    sys.stderr.write(f"Error: training is not installed here (there is no {error.name}); `make train` installs it\n")
    sys.exit(2)

main()
