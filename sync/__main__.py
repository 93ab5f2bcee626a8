"""`python -m sync` is `smime-sync`."""

from sync.cli import main

if __name__ == "__main__":
    main()
