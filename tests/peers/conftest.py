"""The scripts here are run by hand, some of them in another environment: pytest does not import them."""

collect_ignore_glob = ["make_*.py"]
