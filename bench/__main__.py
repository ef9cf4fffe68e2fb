"""`python -m bench` is `bench`."""

from bench.net import enter

if __name__ == "__main__":
    enter()
