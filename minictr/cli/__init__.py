"""The command line: one file per command; grammar, names, exit statuses; nothing else."""
