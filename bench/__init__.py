"""What happens: command line -> plan -> engine -> training -> record. Importing this package imports nothing heavy."""
