"""The image: what stands at the path the user gave, decided by its content."""
