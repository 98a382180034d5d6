"""From a trained model and a volume to labels and uncertainty."""
