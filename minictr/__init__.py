"""minictr: a minimal rootless container launcher that names the cause when a step fails."""

__version__ = "0.1.0"
