"""Watches other programs: finds the call that the kernel refused them, and explains it."""
