"""What `tfflows.Flow` is made of: its inputs, its compiled calls, its losses and its training."""
