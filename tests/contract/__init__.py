"""What every backend must do; each backend's tests inherit these classes and run them."""
