"""What sessions and documents consist of: JSON, items, texts and times, and filters on them."""
