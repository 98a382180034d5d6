"""BARLTrainer: what an engineer looks at."""
