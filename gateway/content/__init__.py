"""What answers hold, one module per noun: read from the store by one query each, serialised once."""
