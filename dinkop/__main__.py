"""`python -m dinkop`: the command where nothing was installed, as in an image."""

from dinkop.cli import main

if __name__ == "__main__":
    main()
