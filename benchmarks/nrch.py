"""NRCH beside its published code, under the name that its recorded results give: published.py says what there is."""

from __future__ import annotations

import sys

from published import main

if __name__ == "__main__":
    main(["nrch", *sys.argv[1:]])
