"""What a second method needed too."""
