"""One page of the museum for each published listing that has mistakes, C03 to C26."""
