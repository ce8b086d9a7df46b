"""What a fit holds: the values of its fields, and the numbers that follow from them alone."""
