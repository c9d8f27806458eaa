"""What a bench compares: the recipe's file, read and expanded into runs."""
