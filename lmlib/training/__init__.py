"""Training: one loop, and pre-training, fine-tuning and distillation on top of it."""
