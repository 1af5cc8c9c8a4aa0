"""What check.py looks at."""
