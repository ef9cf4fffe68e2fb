"""`bench sprint`: the most out of a rented hour, in steps that have a time limit each and leave results on disk at once."""
