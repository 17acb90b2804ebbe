"""The launch, steps as data and choreography as code, with no knowledge of why a step fails."""
