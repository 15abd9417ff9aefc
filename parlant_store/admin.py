"""Sessions and documents for people to read; stores write them."""
