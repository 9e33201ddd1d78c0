"""Generation: recorded texts of Hugging Face, processors, sampling, beams, caches and errors."""
