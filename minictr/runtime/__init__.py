"""The launch: steps as data, choreography as code. Nothing here knows why a step failed."""
