"""Runs minictr as `python -m minictr`, where the start script is not at hand."""

import sys

from minictr.start import end

end("minictr", sys.argv[1:])
