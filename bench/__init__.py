"""What happens: command line -> plan -> engine -> training -> record. Importing this package imports nothing heavy."""

from bench.own_packages import put_first

put_first()
