"""What ``make bench`` runs. Every number is a ratio of medians from one interleaved run."""
