"""What holds for data: nothing lost, nothing twice, proportions kept, seeds that fix the order."""
