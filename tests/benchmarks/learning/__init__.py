"""What models reach on published data in a given time: commands for a reader who has the files."""
