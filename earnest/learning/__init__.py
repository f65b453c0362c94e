"""Learning from embeddings with numpy alone: closed-form heads, and one's own model from one's own recordings."""
