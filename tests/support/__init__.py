"""What the tests share: the census, and doubles of what is real elsewhere. Holds no tests."""
