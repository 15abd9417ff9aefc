"""What people do to sessions and documents."""
