"""Search over a trained model's codes: words find pictures, a picture finds words."""
