"""The published code of each method; a method is one file here, and found by itself."""
