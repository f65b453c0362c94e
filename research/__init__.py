"""Tools for the weights that ship: distillation, pruning and fine-tuning of encoders; not installed."""
