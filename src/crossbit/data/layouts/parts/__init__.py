"""What the layouts share."""
