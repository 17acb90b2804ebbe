"""Probes: each asks this machine one question, and changes nothing."""
