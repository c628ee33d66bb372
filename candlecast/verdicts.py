"""What may be said of a model beside the baseline, over many cells that are watched at once."""
