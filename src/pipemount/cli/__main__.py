"""``python -m pipemount.cli``, where the ``pipemount`` script is not on the path."""

from . import main

if __name__ == "__main__":
    main()
