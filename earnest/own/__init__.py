"""One's own model from one's own recordings, without torch: what `earnest.learn` does."""
