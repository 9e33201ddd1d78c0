"""The property tests of each chapter's exercises, one file a chapter, named like the chapter."""
